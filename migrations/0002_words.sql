-- Interned strings. Rows are added before a batch, in sorted autocommit statements, and never change.

CREATE TABLE users (
    user_nid bigint PRIMARY KEY,
    user_id text NOT NULL UNIQUE
);

CREATE TABLE event_types (
    type_nid bigint PRIMARY KEY,
    type text NOT NULL UNIQUE
);

-- A slot is a place in a room's state: event type and state key.
CREATE TABLE state_slots (
    slot_nid bigint PRIMARY KEY,
    type text NOT NULL,
    state_key text NOT NULL,
    UNIQUE (type, state_key)
);

CREATE TABLE rooms (
    room_nid bigint PRIMARY KEY,
    room_id text NOT NULL UNIQUE,
    shard smallint NOT NULL,
    version text NOT NULL,
    created_at bigint NOT NULL
);
