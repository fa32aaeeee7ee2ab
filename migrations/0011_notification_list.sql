-- The list of notifications walks a room's log backward: these lead it past the events that do not
-- notify (bit 8 of flags) or highlight (bit 9) anybody by default, and to where one user's rules add
-- something.
CREATE INDEX events_that_notify ON events (shard, room_nid, pos)
    WHERE pos IS NOT NULL AND flags & 256 <> 0;
CREATE INDEX events_that_highlight ON events (shard, room_nid, pos)
    WHERE pos IS NOT NULL AND flags & 512 <> 0;
CREATE INDEX notification_exceptions_that_tell
    ON notification_exceptions (shard, user_nid, room_nid, pos)
    WHERE notify > 0 OR highlight > 0;
