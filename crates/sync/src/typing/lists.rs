//! The lists of who types, derived from the stream and the time alone.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use ganglion_model::{RoomNid, SoftPlace};
use ganglion_proto::soft;
use ganglion_stream::SoftId;

use super::{LONGEST_TYPING, Told};
use crate::soft::{Applied, end_of, place_of};
use crate::users::{RoomList, UserRoom};

/// Who types at once, in all rooms; more are not noticed.
const MOST_TYPING: usize = 50_000;
/// Users told of in one room.
const MOST_TOLD: usize = 100;
/// Rooms of which it is remembered when their list changed.
const MOST_ROOMS: usize = 50_000;

#[derive(Debug, Default)]
pub(super) struct Lists {
    applied: Applied,
    rooms: HashMap<RoomNid, Room>,
    /// Rooms in which somebody types.
    active: BTreeSet<RoomNid>,
    /// When somebody stops, in milliseconds.
    ends: BTreeSet<(i64, RoomNid, Arc<str>)>,
}

#[derive(Debug, Default)]
struct Room {
    /// When each stops.
    users: BTreeMap<Arc<str>, i64>,
    changed_at: i64,
}

impl Lists {
    /// A new life of Redis; returns the rooms whose lists changed.
    pub(super) fn begin(&mut self, run: u32, from_ms: i64) -> Vec<RoomNid> {
        let changed = std::mem::take(&mut self.active).into_iter().collect();
        *self = Self {
            applied: Applied {
                run,
                at: end_of(from_ms),
                floor: end_of(from_ms),
            },
            ..Self::default()
        };
        changed
    }

    /// A notice; returns the room if its list changed.
    pub(super) fn apply(&mut self, id: SoftId, typing: &soft::Typing) -> Option<RoomNid> {
        let room = RoomNid(typing.room_nid);
        let place = place_of(id);
        if typing.timeout_ms == 0 {
            return self.stop(room, &typing.user_id, place).then_some(room);
        }
        let longest = i64::try_from(LONGEST_TYPING.as_millis()).unwrap_or(i64::MAX);
        let end = id.ms + i64::from(typing.timeout_ms).min(longest);
        let user: Arc<str> = typing.user_id.as_str().into();
        let held = self.rooms.entry(room).or_default();
        if let Some(old) = held.users.get_mut(&user) {
            self.ends.remove(&(*old, room, user.clone()));
            *old = end;
            self.ends.insert((end, room, user));
            return None;
        }
        if self.ends.len() >= MOST_TYPING {
            return None;
        }
        held.users.insert(user.clone(), end);
        held.changed_at = self.applied.stamp(place);
        self.ends.insert((end, room, user));
        self.active.insert(room);
        Some(room)
    }

    /// The time has come this far; returns the rooms whose lists changed.
    pub(super) fn complete(&mut self, ms: i64) -> Vec<RoomNid> {
        let mut changed = Vec::new();
        while let Some((end, room, user)) = self.ends.first().cloned()
            && end <= ms
        {
            if self.stop(room, &user, end_of(end)) {
                changed.push(room);
            }
        }
        self.applied.at = self.applied.at.max(end_of(ms));
        if self.rooms.len() > MOST_ROOMS {
            self.forget();
        }
        changed
    }

    /// The next time something ends, in milliseconds.
    pub(super) fn next_ms(&self) -> Option<i64> {
        self.ends.first().map(|(end, ..)| *end)
    }

    pub(super) fn is_typing(&self, room: RoomNid, user: &str) -> bool {
        self.rooms
            .get(&room)
            .is_some_and(|room| room.users.contains_key(user))
    }

    fn stop(&mut self, room: RoomNid, user: &str, place: i64) -> bool {
        let Some(held) = self.rooms.get_mut(&room) else {
            return false;
        };
        let Some((user, end)) = held.users.remove_entry(user) else {
            return false;
        };
        held.changed_at = self.applied.stamp(place);
        self.ends.remove(&(end, room, user));
        if held.users.is_empty() {
            self.active.remove(&room);
        }
        true
    }

    /// Forgets when lists that are empty have changed.
    fn forget(&mut self) {
        let floor = &mut self.applied.floor;
        self.rooms.retain(|_, room| {
            if room.users.is_empty() {
                *floor = room.changed_at.max(*floor);
            }
            !room.users.is_empty()
        });
    }

    pub(super) fn in_room(&self, room: RoomNid) -> Vec<Arc<str>> {
        self.rooms.get(&room).map(Room::list).unwrap_or_default()
    }

    pub(super) fn has_changed(&self, since: SoftPlace, room: RoomNid) -> bool {
        match self.applied.known(since) {
            Some(since) => self
                .rooms
                .get(&room)
                .is_some_and(|room| room.changed_at > since),
            None => self.active.contains(&room),
        }
    }

    /// See [`super::Typing::told`].
    pub(super) fn told(
        &self,
        since: Option<(SoftPlace, bool)>,
        list: &RoomList,
        is_joined: impl Fn(&UserRoom) -> bool,
    ) -> Told {
        let token = since.map(|(place, _)| place).unwrap_or_default();
        let ours = |nid: &RoomNid| list.get(nid).is_some_and(|room| is_joined(room));
        let active: Vec<RoomNid> = if self.active.len() < list.len() {
            let active = self.active.iter().copied();
            active.filter(ours).collect()
        } else {
            let active = list.keys().filter(|nid| self.active.contains(*nid));
            active.copied().filter(ours).collect()
        };
        let mut told = Told {
            now: self.applied.now(token),
            sees_typing: !active.is_empty(),
            rooms: HashMap::new(),
        };
        match (since, self.applied.known(token)) {
            (Some(_), Some(known)) if known >= self.applied.at => {}
            (Some(_), Some(known)) => {
                let changed =
                    |(nid, room): &(&RoomNid, &Room)| room.changed_at > known && ours(nid);
                let told_of = |(nid, room): (&RoomNid, &Room)| (*nid, room.list());
                told.rooms = if self.rooms.len() < list.len() {
                    let rooms = self.rooms.iter();
                    rooms.filter(changed).map(told_of).collect()
                } else {
                    let rooms = list.keys();
                    let rooms = rooms.filter_map(|nid| Some((nid, self.rooms.get(nid)?)));
                    rooms.filter(changed).map(told_of).collect()
                };
            }
            // Nobody knows in which rooms the client sees somebody type: the truth of all ends it.
            (Some((_, true)), None) => {
                let rooms = list.keys().filter(|nid| ours(nid));
                told.rooms = rooms.map(|nid| (*nid, self.in_room(*nid))).collect();
            }
            (None, _) | (Some((_, false)), None) => {
                let rooms = active.into_iter();
                told.rooms = rooms.map(|nid| (nid, self.in_room(nid))).collect();
            }
        }
        told
    }
}

impl Room {
    fn list(&self) -> Vec<Arc<str>> {
        self.users.keys().take(MOST_TOLD).cloned().collect()
    }
}

#[cfg(test)]
mod tests;
