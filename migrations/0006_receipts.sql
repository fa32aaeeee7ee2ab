-- Log entry of a room shard: a read receipt, the newest one of a user for a kind and a thread. kind: 0
-- m.read, 1 m.read.private. thread: empty for an unthreaded receipt, 'main', or the id of the thread's
-- root. event_pos: the event's position. at: when, in milliseconds since the epoch. crowded: the room
-- had many members then. A superseded position is void.
CREATE TABLE receipts (
    shard smallint NOT NULL,
    room_nid bigint NOT NULL,
    user_nid bigint NOT NULL,
    kind smallint NOT NULL,
    thread text NOT NULL,
    event_id text NOT NULL,
    event_pos bigint NOT NULL,
    at bigint NOT NULL,
    crowded boolean NOT NULL,
    pos bigint NOT NULL,
    PRIMARY KEY (shard, room_nid, user_nid, kind, thread)
) PARTITION BY LIST (shard);
CREATE UNIQUE INDEX receipts_by_pos ON receipts (shard, pos);
CREATE INDEX receipts_by_room ON receipts (shard, room_nid, pos);
CREATE INDEX receipts_by_user ON receipts (user_nid);

DO $$
BEGIN
    FOR n IN 0..31 LOOP
        EXECUTE format('CREATE TABLE %I PARTITION OF receipts FOR VALUES IN (%s)',
            'receipts_' || n, n);
    END LOOP;
END
$$;

GRANT SELECT ON receipts TO ganglion_client_reader;
GRANT SELECT, INSERT, UPDATE ON receipts TO ganglion_event_persister;
