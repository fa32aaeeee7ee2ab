//! Who is not offline, by room: what is told of a room costs no look at those outside of it.

use std::collections::{BTreeSet, HashMap};

use ganglion_model::{RoomNid, UserNid};

#[derive(Debug, Default)]
pub(super) struct Present(HashMap<RoomNid, BTreeSet<UserNid>>);

impl Present {
    /// A user who is not offline is in these rooms.
    pub(super) fn add(&mut self, user: UserNid, rooms: &[RoomNid]) {
        for room in rooms {
            self.0.entry(*room).or_default().insert(user);
        }
    }

    /// The user has gone offline, or out of these rooms.
    pub(super) fn remove(&mut self, user: UserNid, rooms: &[RoomNid]) {
        for room in rooms {
            if let Some(users) = self.0.get_mut(room) {
                users.remove(&user);
                if users.is_empty() {
                    self.0.remove(room);
                }
            }
        }
    }

    /// Who is in one of these rooms. After `most` looks no more is looked for: the quiet rooms come first.
    pub(super) fn in_rooms(&self, rooms: &[RoomNid], most: usize) -> BTreeSet<UserNid> {
        let mut sets: Vec<_> = rooms.iter().filter_map(|room| self.0.get(room)).collect();
        sets.sort_by_key(|users| users.len());
        sets.into_iter().flatten().take(most).copied().collect()
    }
}
