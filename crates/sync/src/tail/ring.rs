//! The recent entries of one shard's log, of one sort.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::Arc;

use bytes::Bytes;
use ganglion_model::{EventNid, Position, RoomNid, UserNid};
use ganglion_rooms::RoomEvent;
use ganglion_storage::receipts::Receipt;
use ganglion_storage::timeline::Range;

/// What an entry is taken to weigh beyond its words, in bytes.
const ENTRY_BYTES: usize = 96;
/// The same of a receipt.
const RECEIPT_BYTES: usize = 224;

/// What a ring keeps.
pub(crate) trait Item: Clone {
    /// The room that it is of.
    fn room(&self) -> Option<RoomNid>;
    /// The user that it is of.
    fn user(&self) -> Option<UserNid>;
    /// What it is taken to weigh, in bytes.
    fn weight(&self) -> usize;
}

/// One entry of a log that is no receipt; others are nothing but their positions.
#[derive(Debug, Clone)]
pub(crate) enum Entry {
    /// An event of a room. `stale`: it was redacted since; its body is to be read again.
    Event {
        room: RoomNid,
        event: Arc<RoomEvent>,
        stale: bool,
    },
    /// A change of a room that no event shows.
    RoomChange { room: RoomNid },
    /// Account data of a user; room number 0 is the global one.
    AccountData {
        user: UserNid,
        room: RoomNid,
        data_type: String,
        content: Bytes,
    },
}

impl Item for Entry {
    fn room(&self) -> Option<RoomNid> {
        match self {
            Self::Event { room, .. } | Self::RoomChange { room, .. } => Some(*room),
            Self::AccountData { .. } => None,
        }
    }

    fn user(&self) -> Option<UserNid> {
        match self {
            Self::AccountData { user, .. } => Some(*user),
            _ => None,
        }
    }

    fn weight(&self) -> usize {
        ENTRY_BYTES
            + match self {
                Self::Event { event, .. } => event.weight(),
                Self::RoomChange { .. } => 0,
                Self::AccountData {
                    data_type, content, ..
                } => data_type.len() + content.len(),
            }
    }
}

impl Item for Arc<Receipt> {
    fn room(&self) -> Option<RoomNid> {
        Some(self.key.room_nid)
    }

    fn user(&self) -> Option<UserNid> {
        None
    }

    fn weight(&self) -> usize {
        RECEIPT_BYTES + self.key.thread.len() + self.user_id.len() + self.event_id.len()
    }
}

/// A bounded stretch of one log, with indexes by room and by user.
#[derive(Debug)]
pub(crate) struct Ring<E> {
    /// Entries above this, up to `head`, are here.
    floor: Position,
    head: Position,
    entries: VecDeque<(Position, E)>,
    rooms: HashMap<RoomNid, VecDeque<Position>>,
    users: HashMap<UserNid, VecDeque<Position>>,
    bytes: usize,
    most_entries: usize,
    most_bytes: usize,
}

impl<E: Item> Ring<E> {
    pub(crate) fn new(most_entries: usize, most_bytes: usize) -> Self {
        Self {
            floor: 0,
            head: 0,
            entries: VecDeque::new(),
            rooms: HashMap::new(),
            users: HashMap::new(),
            bytes: 0,
            most_entries,
            most_bytes,
        }
    }

    /// The last position that is known.
    pub(crate) fn head(&self) -> Position {
        self.head
    }

    /// Forgets everything; what comes next follows `head`.
    pub(crate) fn restart(&mut self, head: Position) {
        *self = Self {
            floor: head,
            head,
            ..Self::new(self.most_entries, self.most_bytes)
        };
    }

    /// Adds the entries of a batch, in order; what is here must lead up to it, or is forgotten.
    pub(crate) fn extend(
        &mut self,
        (first, last): (Position, Position),
        entries: impl IntoIterator<Item = (Position, E)>,
    ) {
        if self.head + 1 != first {
            self.restart(first - 1);
        }
        for (pos, entry) in entries {
            if let Some(room) = entry.room() {
                self.rooms.entry(room).or_default().push_back(pos);
            }
            if let Some(user) = entry.user() {
                self.users.entry(user).or_default().push_back(pos);
            }
            self.bytes += entry.weight();
            self.entries.push_back((pos, entry));
        }
        self.head = last;
        while self.entries.len() > self.most_entries || self.bytes > self.most_bytes {
            self.evict();
        }
    }

    fn evict(&mut self) {
        let Some((pos, entry)) = self.entries.pop_front() else {
            self.bytes = 0;
            return;
        };
        self.floor = pos;
        self.bytes = self.bytes.saturating_sub(entry.weight());
        drop_first(&mut self.rooms, entry.room());
        drop_first(&mut self.users, entry.user());
    }

    /// Whether every entry of the range is here.
    pub(crate) fn covers(&self, range: Range) -> bool {
        self.floor <= range.after && range.up_to <= self.head()
    }

    /// The last entry of a room that is here.
    pub(crate) fn last_of_room(&self, room: RoomNid) -> Option<Position> {
        self.rooms.get(&room)?.back().copied()
    }

    /// The last entry of a user that is here.
    pub(crate) fn last_of_user(&self, user: UserNid) -> Option<Position> {
        self.users.get(&user)?.back().copied()
    }

    /// A room's entries within a range, the newest first, at most `count`; `None` if the range is
    /// not all here.
    pub(crate) fn of_room(
        &self,
        room: RoomNid,
        range: Range,
        count: usize,
    ) -> Option<Vec<(Position, E)>> {
        self.covers(range)
            .then(|| self.pick(self.rooms.get(&room), range, count))
    }

    /// A user's entries within a range, the newest first; `None` if the range is not all here.
    pub(crate) fn of_user(&self, user: UserNid, range: Range) -> Option<Vec<(Position, E)>> {
        self.covers(range)
            .then(|| self.pick(self.users.get(&user), range, usize::MAX))
    }

    fn pick(
        &self,
        index: Option<&VecDeque<Position>>,
        range: Range,
        count: usize,
    ) -> Vec<(Position, E)> {
        let Some(index) = index else {
            return Vec::new();
        };
        let within = index
            .iter()
            .rev()
            .skip_while(|pos| **pos > range.up_to)
            .take_while(|pos| **pos > range.after);
        within
            .take(count)
            .filter_map(|pos| Some((*pos, self.at(*pos)?.clone())))
            .collect()
    }

    fn at(&self, pos: Position) -> Option<&E> {
        Some(&self.entries.get(self.index(pos)?)?.1)
    }

    fn index(&self, pos: Position) -> Option<usize> {
        self.entries.binary_search_by_key(&pos, |(at, _)| *at).ok()
    }
}

impl Ring<Entry> {
    /// An event of a room was redacted: its body here is no longer true.
    pub(crate) fn redact(&mut self, room: RoomNid, target: EventNid) {
        let Some(index) = self.rooms.get(&room) else {
            return;
        };
        for pos in index.iter().rev() {
            let Some(place) = self.index(*pos) else {
                continue;
            };
            if let Some((_, Entry::Event { event, stale, .. })) = self.entries.get_mut(place)
                && event.nid == target
            {
                *stale = true;
                return;
            }
        }
    }
}

fn drop_first<K: Hash + Eq>(index: &mut HashMap<K, VecDeque<Position>>, key: Option<K>) {
    let Some(key) = key else { return };
    if let Some(positions) = index.get_mut(&key) {
        positions.pop_front();
        if positions.is_empty() {
            index.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests;
