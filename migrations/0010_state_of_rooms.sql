-- The current state without members, such as a space's children: spaces have few of those and may have
-- many members.
CREATE INDEX current_state_but_members ON current_state (shard, room_nid)
    WHERE membership IS NULL;
