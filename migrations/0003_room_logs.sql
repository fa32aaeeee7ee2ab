-- The logs of the room shards. A log is the union of these tables by (shard, pos); a position at or
-- below the head without a row in any of them is void.

-- Events. status: 0 live, 1 outlier, 2 rejected, 3 soft-failed, 4 backfilled.
-- pos is set for live events only (dense per shard with the other tables); backfilled events have a
-- negative pos that counts down. content and envelope together with the columns are the whole event
-- (event-rules, Pdu::split). extremities (event numbers, 8 bytes each, big endian; null: this event
-- alone) and snapshot_after are the room's after this event. relates_to and rel_type are those of
-- m.relates_to, unless it breaks the rules of its kind; the parent need not be known; a redaction
-- takes them away.
CREATE TABLE events (
    shard smallint NOT NULL,
    event_nid bigint NOT NULL,
    room_nid bigint NOT NULL,
    event_id text NOT NULL,
    pos bigint,
    status smallint NOT NULL,
    depth bigint NOT NULL,
    origin_server_ts bigint NOT NULL,
    sender_nid bigint NOT NULL,
    type_nid bigint NOT NULL,
    slot_nid bigint,
    target_nid bigint,
    membership smallint,
    relates_to text,
    rel_type text,
    redacted_by bigint,
    visibility smallint NOT NULL,
    flags integer NOT NULL DEFAULT 0,
    snapshot_before bigint NOT NULL,
    snapshot_after bigint NOT NULL,
    extremities bytea,
    txn_device text,
    txn_id text,
    content bytea NOT NULL,
    envelope bytea NOT NULL,
    PRIMARY KEY (shard, event_nid)
) PARTITION BY LIST (shard);
CREATE UNIQUE INDEX events_by_id ON events (shard, event_id);
CREATE INDEX events_by_relation ON events (shard, room_nid, relates_to, pos)
    WHERE relates_to IS NOT NULL;
CREATE INDEX events_by_rel_type ON events (shard, room_nid, relates_to, rel_type, pos)
    WHERE relates_to IS NOT NULL;
CREATE INDEX events_by_thread ON events (shard, room_nid, pos)
    WHERE rel_type = 'm.thread' AND pos IS NOT NULL;
CREATE INDEX events_by_time ON events (shard, room_nid, origin_server_ts, pos)
    WHERE pos IS NOT NULL;
CREATE INDEX events_by_room ON events (shard, room_nid, pos) WHERE pos IS NOT NULL;
CREATE UNIQUE INDEX events_by_pos ON events (shard, pos) WHERE pos IS NOT NULL;

-- A change of a room that no event shows. kind: 3 StateReplaced, 4 FullyStated.
CREATE TABLE room_changes (
    shard smallint NOT NULL,
    pos bigint NOT NULL,
    room_nid bigint NOT NULL,
    kind smallint NOT NULL,
    snapshot_after bigint NOT NULL,
    extremities bytea NOT NULL,
    PRIMARY KEY (shard, pos)
) PARTITION BY LIST (shard);
CREATE INDEX room_changes_by_room ON room_changes (shard, room_nid, pos);

-- Stored states: levelled deltas (state-deltas). A snapshot without parent is a delta against the
-- empty state.
CREATE TABLE snapshots (
    shard smallint NOT NULL,
    snapshot_nid bigint NOT NULL,
    room_nid bigint NOT NULL,
    level smallint NOT NULL,
    parent_nid bigint,
    length integer NOT NULL,
    hash bytea NOT NULL,
    entries bytea NOT NULL,
    PRIMARY KEY (shard, snapshot_nid)
) PARTITION BY LIST (shard);
CREATE INDEX snapshots_by_hash ON snapshots (shard, room_nid, hash);

-- The room's state after its last log entry, by slot; the only table here whose rows change.
CREATE TABLE current_state (
    shard smallint NOT NULL,
    room_nid bigint NOT NULL,
    slot_nid bigint NOT NULL,
    event_nid bigint NOT NULL,
    membership smallint,
    PRIMARY KEY (shard, room_nid, slot_nid)
) PARTITION BY LIST (shard);
CREATE INDEX current_members ON current_state (shard, room_nid, membership)
    WHERE membership IS NOT NULL;

-- Every change of someone's membership, by user: the room list at any vector of positions is the
-- last row per room at or below it. event_nid is the member event.
CREATE TABLE user_memberships (
    shard smallint NOT NULL,
    user_nid bigint NOT NULL,
    room_nid bigint NOT NULL,
    pos bigint NOT NULL,
    membership smallint NOT NULL,
    previous smallint,
    event_nid bigint NOT NULL,
    sender_nid bigint NOT NULL,
    PRIMARY KEY (shard, user_nid, room_nid, pos)
) PARTITION BY LIST (shard);
CREATE INDEX user_memberships_by_pos ON user_memberships (shard, pos);

-- Aliases of this server's name.
CREATE TABLE room_aliases (
    alias text PRIMARY KEY,
    shard smallint NOT NULL,
    room_nid bigint NOT NULL,
    creator_nid bigint NOT NULL,
    created_at bigint NOT NULL
);
CREATE INDEX room_aliases_by_room ON room_aliases (room_nid);

-- Rooms in the public directory, which is read in the order of their numbers.
CREATE TABLE public_rooms (
    room_nid bigint PRIMARY KEY,
    shard smallint NOT NULL
);
