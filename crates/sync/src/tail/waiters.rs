//! Who waits for what: requests are woken by the rooms and the user they are about, never by a
//! clock.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use ganglion_model::{RoomNid, UserNid};
use tokio::sync::Notify;

/// Names one waiting request.
type WaiterId = u64;

/// The waiting requests of one process.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    next: WaiterId,
    waiting: HashMap<WaiterId, Arc<Notify>>,
    rooms: HashMap<RoomNid, Vec<WaiterId>>,
    users: HashMap<UserNid, Vec<WaiterId>>,
}

impl Waiters {
    /// Registers a request by its user; it stays until [`Waiters::remove`].
    pub(crate) fn add(&mut self, user: UserNid) -> (WaiterId, Arc<Notify>) {
        let id = self.next;
        self.next += 1;
        let notify = Arc::new(Notify::new());
        self.waiting.insert(id, notify.clone());
        self.users.entry(user).or_default().push(id);
        (id, notify)
    }

    /// Registers a request for rooms, too.
    pub(crate) fn add_rooms(&mut self, id: WaiterId, rooms: &[RoomNid]) {
        for room in rooms {
            self.rooms.entry(*room).or_default().push(id);
        }
    }

    /// Ends a registration, with the same user and rooms it was made with.
    pub(crate) fn remove(&mut self, id: WaiterId, user: UserNid, rooms: &[RoomNid]) {
        self.waiting.remove(&id);
        forget(&mut self.users, user, id);
        for room in rooms {
            forget(&mut self.rooms, *room, id);
        }
    }

    /// Wakes those who wait for a room.
    pub(crate) fn wake_room(&self, room: RoomNid) {
        self.wake(self.rooms.get(&room));
    }

    /// Wakes those who wait for a room, unless they are more than `most`.
    pub(crate) fn wake_quiet_room(&self, room: RoomNid, most: usize) {
        let waiting = self.rooms.get(&room);
        self.wake(waiting.filter(|waiting| waiting.len() <= most));
    }

    /// Wakes those who wait for a user.
    pub(crate) fn wake_user(&self, user: UserNid) {
        self.wake(self.users.get(&user));
    }

    /// Wakes everybody.
    pub(crate) fn wake_all(&self) {
        for notify in self.waiting.values() {
            notify.notify_one();
        }
    }

    fn wake(&self, ids: Option<&Vec<WaiterId>>) {
        for notify in ids
            .into_iter()
            .flatten()
            .filter_map(|id| self.waiting.get(id))
        {
            // Keeps a permit if the request is not waiting yet.
            notify.notify_one();
        }
    }
}

fn forget<K: Hash + Eq>(index: &mut HashMap<K, Vec<WaiterId>>, key: K, id: WaiterId) {
    if let Some(ids) = index.get_mut(&key) {
        if let Some(place) = ids.iter().position(|waiting| *waiting == id) {
            ids.swap_remove(place);
        }
        if ids.is_empty() {
            index.remove(&key);
        }
    }
}
