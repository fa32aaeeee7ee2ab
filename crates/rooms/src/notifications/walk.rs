//! The order of the list: one log is walked backward by position, and of several logs' next events
//! that which was sent last comes first. So 32 positions tell a place in it.

use std::collections::VecDeque;

use ganglion_model::shard::ROOM_SHARDS;
use ganglion_model::{Membership, Position, RoomNid, Shard, Vector};
use ganglion_storage::memberships::RoomOfUser;
use ganglion_storage::notifications::Candidate;
use ganglion_storage::timeline::Range;

/// A part of a room's log in which the user was joined or of which the user was told.
#[derive(Debug)]
pub(crate) struct Stretch {
    /// The room's place in the user's list.
    pub(crate) room: usize,
    pub(crate) shard: Shard,
    pub(crate) room_nid: RoomNid,
    /// What was not read yet.
    pub(crate) rest: Range,
    next: VecDeque<Candidate>,
}

impl Stretch {
    /// Nothing of it is in memory, but there may be more.
    fn is_wanted(&self) -> bool {
        self.next.is_empty() && self.rest.up_to > self.rest.after
    }
}

/// The way through all stretches.
#[derive(Debug)]
pub(crate) struct Walk {
    pub(crate) stretches: Vec<Stretch>,
    /// All that lies at or below is still to come.
    pub(crate) at: Vector,
}

impl Walk {
    /// From a place on, through the rooms in which the user is: all stays in those that the user is
    /// joined to, and the invitation to the others.
    pub(crate) fn new(rooms: &[RoomOfUser], from: Vector) -> Self {
        let mut stretches = Vec::new();
        for (index, room) in rooms.iter().enumerate() {
            let add = |range: Range| Stretch {
                room: index,
                shard: room.shard,
                room_nid: room.room_nid,
                rest: Range {
                    after: range.after,
                    up_to: range.up_to.min(from.get(room.shard)),
                },
                next: VecDeque::new(),
            };
            stretches.extend(ranges(room).into_iter().map(add));
        }
        Self {
            stretches,
            at: from,
        }
    }

    /// The stretches of which more must be read before it is known what comes next.
    pub(crate) fn wanted(&self) -> Vec<usize> {
        let all = self.stretches.iter().enumerate();
        let wanted = all.filter(|(_, stretch)| stretch.is_wanted());
        wanted.map(|(index, _)| index).collect()
    }

    /// What was read of a stretch, the newest first; `limit` were asked for.
    pub(crate) fn read(&mut self, stretch: usize, found: Vec<Candidate>, limit: usize) {
        let Some(stretch) = self.stretches.get_mut(stretch) else {
            return;
        };
        stretch.rest.up_to = match found.last() {
            Some(last) if found.len() >= limit => last.pos - 1,
            _ => stretch.rest.after,
        };
        stretch.next.extend(found);
    }

    /// The next event and its stretch; `None` if there is none in memory.
    pub(crate) fn next(&mut self) -> Option<(usize, Candidate)> {
        let mut heads: [Option<(usize, Candidate)>; ROOM_SHARDS as usize] =
            [None; ROOM_SHARDS as usize];
        for (index, stretch) in self.stretches.iter().enumerate() {
            let (Some(first), Some(head)) =
                (stretch.next.front(), heads.get_mut(stretch.shard.index()))
            else {
                continue;
            };
            if head.is_none_or(|(_, known)| known.pos < first.pos) {
                *head = Some((index, *first));
            }
        }
        let (index, found) = heads
            .into_iter()
            .flatten()
            .max_by_key(|(_, candidate)| candidate.origin_server_ts)?;
        let stretch = self.stretches.get_mut(index)?;
        stretch.next.pop_front();
        let shard = stretch.shard;
        self.at.set(shard, found.pos - 1);
        Some((index, found))
    }
}

/// The parts of a room's log that may have notified the user.
fn ranges(room: &RoomOfUser) -> Vec<Range> {
    let now = room.changes.last().map(|change| change.membership);
    if now == Some(Membership::Invite) {
        let invitation = room.changes.last().map(|change| Range {
            after: change.pos - 1,
            up_to: change.pos,
        });
        return invitation.into_iter().collect();
    }
    if now != Some(Membership::Join) {
        return Vec::new();
    }
    let mut ranges = Vec::new();
    let mut since = None;
    for change in &room.changes {
        match (since, change.membership == Membership::Join) {
            (None, true) => since = Some(change.pos),
            (Some(after), false) => {
                // What ends a stay is for who stays.
                let up_to = change.pos - 1;
                ranges.push(Range { after, up_to });
                since = None;
            }
            _ => {}
        }
    }
    ranges.extend(since.map(|after| Range {
        after,
        up_to: Position::MAX,
    }));
    ranges
}

#[cfg(test)]
mod tests;
