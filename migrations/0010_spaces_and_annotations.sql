-- The current state without members, such as a space's children: spaces have few of those and may have
-- many members.
CREATE INDEX current_state_but_members ON current_state (shard, room_nid)
    WHERE membership IS NULL;

-- One user's annotations of an event: nobody makes the same one twice.
CREATE INDEX events_by_annotation ON events (shard, room_nid, relates_to, sender_nid)
    WHERE rel_type = 'm.annotation';
