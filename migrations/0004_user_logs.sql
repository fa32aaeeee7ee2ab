-- Accounts and the logs of the user shards. All of it is written in batches of the user's shard.

-- kind: 0 person, 1 administrator, 2 guest, 3 application service. A deactivated account keeps its row,
-- so that its name is never given out again; `erased`: its user wished to be erased.
CREATE TABLE accounts (
    user_nid bigint PRIMARY KEY REFERENCES users (user_nid),
    kind smallint NOT NULL,
    password_hash text,
    created_at bigint NOT NULL,
    deactivated_at bigint,
    erased boolean NOT NULL DEFAULT false
);

CREATE TABLE devices (
    user_nid bigint NOT NULL,
    device_id text NOT NULL,
    display_name text,
    created_at bigint NOT NULL,
    PRIMARY KEY (user_nid, device_id)
);

-- Tokens only as SHA-256. stage: 0 in use; 1 made by a refresh and not used yet; 2 replaced, and kept for
-- one more turn, to say so (`expires_at` is then 0). A device has at most one pair in use and one next.
CREATE TABLE access_tokens (
    token_hash bytea PRIMARY KEY,
    user_nid bigint NOT NULL,
    device_id text NOT NULL,
    created_at bigint NOT NULL,
    expires_at bigint,
    stage smallint NOT NULL
);
CREATE INDEX access_tokens_by_device ON access_tokens (user_nid, device_id);

CREATE TABLE refresh_tokens (
    token_hash bytea PRIMARY KEY,
    user_nid bigint NOT NULL,
    device_id text NOT NULL,
    created_at bigint NOT NULL,
    stage smallint NOT NULL
);
CREATE INDEX refresh_tokens_by_device ON refresh_tokens (user_nid, device_id);

-- Log entry: these devices' tokens ended (device_id null: all of the user's).
CREATE TABLE token_revocations (
    shard smallint NOT NULL,
    pos bigint NOT NULL,
    user_nid bigint NOT NULL,
    device_id text,
    PRIMARY KEY (shard, pos)
) PARTITION BY LIST (shard);

-- Log entry: account data. room_nid 0 is the global one. A superseded position is void.
CREATE TABLE account_data (
    shard smallint NOT NULL,
    user_nid bigint NOT NULL,
    room_nid bigint NOT NULL,
    type text NOT NULL,
    content bytea NOT NULL,
    pos bigint NOT NULL,
    PRIMARY KEY (shard, user_nid, room_nid, type)
) PARTITION BY LIST (shard);
CREATE INDEX account_data_by_pos ON account_data (shard, pos);

-- Log entry: a room the user has forgotten. Memberships at or below `up_to`, a position of the room's
-- shard, are no more for the user. A superseded position is void. Not partitioned: it is small, and
-- planning a join with 32 partitions would cost every read of a room more than the read.
CREATE TABLE forgotten_rooms (
    shard smallint NOT NULL,
    user_nid bigint NOT NULL,
    room_nid bigint NOT NULL,
    up_to bigint NOT NULL,
    pos bigint NOT NULL,
    PRIMARY KEY (user_nid, room_nid)
);
CREATE INDEX forgotten_rooms_by_pos ON forgotten_rooms (shard, pos);

CREATE TABLE profiles (
    user_nid bigint NOT NULL,
    field text NOT NULL,
    value bytea NOT NULL,
    PRIMARY KEY (user_nid, field)
);

CREATE TABLE filters (
    user_nid bigint NOT NULL,
    filter_id text NOT NULL,
    body bytea NOT NULL,
    PRIMARY KEY (user_nid, filter_id)
);

-- `uses_allowed` null: no limit. `completed` counts accounts made with it.
CREATE TABLE registration_tokens (
    token text PRIMARY KEY,
    uses_allowed integer,
    completed integer NOT NULL DEFAULT 0,
    expires_at bigint,
    CHECK (uses_allowed IS NULL OR completed <= uses_allowed)
);

-- Acts over many rooms, taken up by the owner of the user's shard and done in idempotent steps:
-- `done` is the last room_nid that is finished.
CREATE TABLE jobs (
    shard smallint NOT NULL,
    job_id bytea NOT NULL,
    user_nid bigint NOT NULL,
    kind smallint NOT NULL,
    body bytea NOT NULL,
    done bigint NOT NULL DEFAULT 0,
    created_at bigint NOT NULL,
    PRIMARY KEY (shard, job_id)
);
