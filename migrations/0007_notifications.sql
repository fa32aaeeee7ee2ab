-- What events count for, and where a user's own rules say something else.

-- thread: the root of the thread that a live event belongs to; null: the main timeline. The running
-- counts are those of all live events of the room up to and with this one that notify (highlight)
-- under the default push rules: in all of the room, in its main timeline, in the event's thread. Bits
-- 8 and 9 of `flags`: this event notifies, highlights.
ALTER TABLE events
    ADD COLUMN thread text,
    ADD COLUMN room_notifies integer NOT NULL DEFAULT 0,
    ADD COLUMN room_highlights integer NOT NULL DEFAULT 0,
    ADD COLUMN main_notifies integer NOT NULL DEFAULT 0,
    ADD COLUMN main_highlights integer NOT NULL DEFAULT 0,
    ADD COLUMN thread_notifies integer NOT NULL DEFAULT 0,
    ADD COLUMN thread_highlights integer NOT NULL DEFAULT 0;
CREATE INDEX events_in_thread ON events (shard, room_nid, thread, pos)
    WHERE thread IS NOT NULL AND pos IS NOT NULL;
CREATE INDEX events_by_sender ON events (shard, room_nid, sender_nid, pos) WHERE pos IS NOT NULL;

-- Where a user's own push rules say something else about an event than the default ones. notify,
-- highlight: the difference (-1, 0, 1). Written by pusher; a user whose rules say what the default
-- rules say has no row.
CREATE TABLE notification_exceptions (
    shard smallint NOT NULL,
    user_nid bigint NOT NULL,
    room_nid bigint NOT NULL,
    pos bigint NOT NULL,
    thread text,
    notify smallint NOT NULL,
    highlight smallint NOT NULL,
    PRIMARY KEY (shard, user_nid, room_nid, pos)
) PARTITION BY LIST (shard);

-- Users who have push rules of their own.
CREATE INDEX account_data_of_push_rules ON account_data (user_nid)
    WHERE room_nid = 0 AND type = 'm.push_rules';

-- Logs 64..95 are those of the consumer "push": it has read log n - 64 up to the head of log n.
INSERT INTO shards (shard) SELECT generate_series(64, 95);

DO $$
BEGIN
    FOR n IN 0..31 LOOP
        EXECUTE format('CREATE TABLE %I PARTITION OF notification_exceptions FOR VALUES IN (%s)',
            'notification_exceptions_' || n, n);
        EXECUTE format('CREATE TABLE %I PARTITION OF commands FOR VALUES IN (%s)',
            'commands_' || (n + 64), n + 64);
    END LOOP;
END
$$;

DO $$
BEGIN
    BEGIN
        CREATE ROLE ganglion_pusher NOLOGIN;
    EXCEPTION WHEN duplicate_object OR unique_violation THEN
        NULL;
    END;
    GRANT USAGE ON SCHEMA public TO ganglion_pusher;
    BEGIN
        ALTER ROLE ganglion_pusher SET idle_in_transaction_session_timeout = '15s';
        ALTER ROLE ganglion_pusher SET statement_timeout = '30s';
    EXCEPTION WHEN insufficient_privilege THEN
        RAISE WARNING 'the timeouts of the worker roles could not be set';
    END;
END
$$;

GRANT SELECT ON notification_exceptions TO ganglion_client_reader, ganglion_event_persister;

-- pusher reads logs, states and account data; it writes how far it has come, and the exceptions. It
-- sees neither passwords nor tokens, nor profiles and filters, and adds no entry to a log that others
-- read but by a lease of its own.
GRANT SELECT ON _sqlx_migrations, instances, shards, batches, generations, commands, users,
    event_types, state_slots, rooms, events, room_changes, snapshots, current_state,
    user_memberships, receipts, account_data, token_revocations, forgotten_rooms,
    notification_exceptions TO ganglion_pusher;
GRANT INSERT, UPDATE, DELETE ON instances TO ganglion_pusher;
GRANT UPDATE ON shards TO ganglion_pusher;
GRANT INSERT ON batches, generations, commands, notification_exceptions TO ganglion_pusher;
GRANT DELETE ON batches, commands TO ganglion_pusher;
