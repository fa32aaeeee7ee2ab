-- The cluster fabric: who is there, who owns which shard, how far each log has come.

-- Numbers for everything that is counted are taken from here in blocks; the high bits of a number
-- name the allocator, so that groups of shards can later live on primaries of their own.
CREATE TABLE id_allocator (
    allocator smallint PRIMARY KEY,
    next bigint NOT NULL
);
INSERT INTO id_allocator (allocator, next) VALUES (0, 1);

-- One row per running instance. `heartbeat` only counts up; nobody compares clocks.
CREATE TABLE instances (
    instance uuid PRIMARY KEY,
    role text NOT NULL,
    rpc_address text,
    heartbeat bigint NOT NULL DEFAULT 0,
    draining boolean NOT NULL DEFAULT false,
    version text NOT NULL,
    started_at bigint NOT NULL
);

-- The fence: every write transaction of a shard checks (shard, epoch, owner) here, FOR SHARE.
-- A row changes only when the owner changes.
CREATE TABLE shards (
    shard smallint PRIMARY KEY,
    epoch bigint NOT NULL DEFAULT 0,
    owner uuid
);
INSERT INTO shards (shard) SELECT generate_series(0, 63);

-- One row per batch of a shard's log, insert only. The head of a log is its last row's last_pos.
CREATE TABLE batches (
    shard smallint NOT NULL,
    first_pos bigint NOT NULL,
    last_pos bigint NOT NULL,
    epoch bigint NOT NULL,
    at bigint NOT NULL,
    PRIMARY KEY (shard, first_pos)
);

-- A restore or a new PostgreSQL timeline begins a generation: tokens of older ones are clamped to
-- the heads at its start.
CREATE TABLE generations (
    generation integer NOT NULL,
    shard smallint NOT NULL,
    head_at_start bigint NOT NULL,
    timeline integer NOT NULL,
    PRIMARY KEY (generation, shard)
);

-- What a command did, so that its repetition finds it. `reply` is what the caller was answered.
CREATE TABLE commands (
    shard smallint NOT NULL,
    command_id bytea NOT NULL,
    reply bytea NOT NULL,
    at bigint NOT NULL,
    PRIMARY KEY (shard, command_id)
) PARTITION BY LIST (shard);
-- Old ones are removed: rows come in the order of time.
CREATE INDEX commands_by_time ON commands USING brin (at);
