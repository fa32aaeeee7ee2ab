//! The users of whom something is heard, in memory and bounded; all of it follows from the stream, the
//! time, and the rooms that they are in.

mod present;
mod told;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use ganglion_model::{RoomNid, SoftPlace, UserNid};
use ganglion_proto::soft;
use ganglion_stream::SoftId;
use tokio::time::Instant;

use super::derive::{Derived, Device, State, Times, derive};
use crate::soft::{Applied, end_of, place_of};
use present::Present;

/// Users in memory; beyond it those go first who are offline for longest.
const MOST_PEOPLE: usize = 100_000;
/// Devices of one user; beyond it the one goes that was not seen for longest.
const MOST_DEVICES: usize = 20;
pub(super) struct People {
    pub(super) applied: Applied,
    people: HashMap<UserNid, Person>,
    changes: BTreeSet<(i64, UserNid)>,
    timers: BTreeSet<(i64, UserNid)>,
    /// Whose rooms are to be read.
    stale: BTreeSet<UserNid>,
    /// Who of them is not offline, by room.
    present: Present,
    times: Times,
    /// Redis's time at a moment of ours.
    clock: (i64, Instant),
}

#[derive(Debug)]
pub(super) struct Person {
    pub(super) user_id: Arc<str>,
    devices: BTreeMap<String, Device>,
    /// The rooms the user is joined to, in order.
    rooms: Vec<RoomNid>,
    rooms_are: Rooms,
    pub(super) status: Option<Arc<str>>,
    pub(super) status_at: i64,
    pub(super) derived: Derived,
    changed_at: i64,
    next: Option<i64>,
}

/// How far a person's rooms can be trusted.
#[derive(Debug, PartialEq, Eq)]
enum Rooms {
    Known,
    /// Changes may have been missed.
    Stale,
    /// They are being read; what has changed meanwhile.
    Loading(Vec<(RoomNid, bool)>),
}

/// What a response tells of one user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) user_id: Arc<str>,
    pub(crate) state: State,
    pub(crate) currently_active: bool,
    pub(crate) last_active_ago: Option<i64>,
    pub(crate) status: Option<Arc<str>>,
}

/// Who asks what changed.
pub(crate) struct Asking<'a> {
    pub(crate) user: UserNid,
    pub(crate) since: Option<SoftPlace>,
    /// The rooms that the user is joined to, in order.
    pub(crate) rooms: &'a [RoomNid],
    /// Those of them that are new to the client.
    pub(crate) new_rooms: &'a [RoomNid],
    pub(crate) limit: usize,
}

impl People {
    pub(super) fn new(times: Times) -> Self {
        Self {
            applied: Applied::default(),
            people: HashMap::new(),
            changes: BTreeSet::new(),
            timers: BTreeSet::new(),
            stale: BTreeSet::new(),
            present: Present::default(),
            times,
            clock: (0, Instant::now()),
        }
    }

    pub(super) fn set_clock(&mut self, ms: i64) {
        self.clock = (ms, Instant::now());
    }

    /// Redis's time, as far as it is known.
    pub(super) fn now_ms(&self) -> i64 {
        let (ms, at) = self.clock;
        ms + i64::try_from(at.elapsed().as_millis()).unwrap_or(0)
    }

    /// A new life of Redis. Who was heard of is not forgotten: what is over ends by the time.
    pub(super) fn begin(&mut self, run: u32, from_ms: i64) {
        let place = end_of(from_ms);
        self.applied = Applied {
            run,
            at: self.applied.at.max(place),
            floor: place.max(self.applied.floor),
        };
        self.rooms_are_stale();
    }

    /// Membership changes may have been missed.
    pub(super) fn rooms_are_stale(&mut self) {
        for (user, person) in &mut self.people {
            person.rooms_are = Rooms::Stale;
            self.stale.insert(*user);
        }
    }

    /// Those of these users whose rooms must be read. From now on their changes are noted;
    /// [`People::know`] ends that.
    pub(super) fn load<'a>(
        &mut self,
        heard_of: impl Iterator<Item = (UserNid, &'a str)>,
    ) -> Vec<UserNid> {
        let mut users = Vec::new();
        for (user, user_id) in heard_of {
            self.enter(user, user_id);
            if self.stale.remove(&user) {
                users.extend(self.begin_loading(user));
            }
        }
        users
    }

    /// The same for at most `most` of those in memory.
    pub(super) fn load_stale(&mut self, most: usize) -> Vec<UserNid> {
        let mut users = Vec::new();
        while users.len() < most
            && let Some(user) = self.stale.pop_first()
        {
            users.extend(self.begin_loading(user));
        }
        users
    }

    fn begin_loading(&mut self, user: UserNid) -> Option<UserNid> {
        let person = self.people.get_mut(&user)?;
        person.rooms_are = Rooms::Loading(Vec::new());
        Some(user)
    }

    /// What was read of a user: the rooms in their order, and the status message with its time. True if
    /// others are to hear of the user.
    pub(super) fn know(
        &mut self,
        user: UserNid,
        rooms: Vec<RoomNid>,
        status: (Option<String>, i64),
    ) -> bool {
        let Some(person) = self.people.get_mut(&user) else {
            return false;
        };
        let Rooms::Loading(changes) = std::mem::replace(&mut person.rooms_are, Rooms::Known) else {
            person.rooms_are = Rooms::Stale;
            self.stale.insert(user);
            return false;
        };
        let is_new = person.rooms != rooms;
        if person.is_present() {
            self.present.remove(user, &person.rooms);
        }
        person.rooms = rooms;
        for (room, joined) in changes {
            person.member(room, joined);
        }
        if person.is_present() {
            self.present.add(user, &person.rooms);
        }
        let new_status = person.set_status(status.0.as_deref(), status.1);
        let is_news = (is_new || new_status) && person.changed_at > 0;
        if is_news {
            self.touch(user);
        }
        is_news
    }

    /// The read of these users' rooms has failed.
    pub(super) fn not_loaded(&mut self, users: &[UserNid]) {
        for user in users {
            if let Some(person) = self.people.get_mut(user) {
                person.rooms_are = Rooms::Stale;
                self.stale.insert(*user);
            }
        }
    }

    /// A user has joined a room, or is no more in it; true if those in the room are to hear of the user.
    pub(super) fn member(&mut self, user: UserNid, room: RoomNid, joined: bool) -> bool {
        let Some(person) = self.people.get_mut(&user) else {
            return false;
        };
        if let Rooms::Loading(changes) = &mut person.rooms_are {
            changes.push((room, joined));
        }
        if !person.member(room, joined) || !person.is_present() {
            return false;
        }
        if joined {
            self.present.add(user, &[room]);
            self.touch(user);
        } else {
            self.present.remove(user, &[room]);
        }
        joined
    }

    /// What a device says; true if others are to hear of it.
    pub(super) fn apply(&mut self, id: SoftId, entry: &soft::Presence) -> bool {
        let user = UserNid(entry.user_nid);
        self.enter(user, &entry.user_id);
        let Some(person) = self.people.get_mut(&user) else {
            return false;
        };
        let ago = entry.active_ago_ms.map(|ago| ago.max(0));
        let device = Device {
            asked: State::from_number(entry.state),
            last_active: ago.map_or(0, |ago| id.ms.saturating_sub(ago)),
            last_seen: id.ms,
        };
        person.devices.insert(entry.device_id.clone(), device);
        person.drop_devices();
        let status = entry.status.as_ref();
        let new_status =
            status.is_some_and(|status| person.set_status(status.text.as_deref(), status.at_ms));
        self.derive(user, id.ms, place_of(id), new_status)
    }

    /// The time has come this far; the users of whom others are to hear.
    pub(super) fn complete(&mut self, ms: i64) -> Vec<UserNid> {
        let mut changed = Vec::new();
        while let Some((at, user)) = self.timers.first().copied()
            && at <= ms
        {
            if self.derive(user, at, end_of(at), false) {
                changed.push(user);
            }
        }
        self.applied.at = self.applied.at.max(end_of(ms));
        changed
    }

    /// When the time brings something next.
    pub(super) fn next_ms(&self) -> Option<i64> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// True if two users are surely in the same room, as far as the logs are applied.
    pub(super) fn share_room(&self, user: UserNid, other: UserNid) -> bool {
        let known = |user| {
            let person = self.people.get(&user)?;
            (person.rooms_are == Rooms::Known).then_some(person)
        };
        let pair = known(user).zip(known(other));
        pair.is_some_and(|(user, other)| user.shares(&other.rooms))
    }

    pub(super) fn person(&self, user: UserNid) -> Option<&Person> {
        self.people.get(&user)
    }

    /// How many are in memory.
    pub(super) fn len(&self) -> usize {
        self.people.len()
    }

    /// Derives a user's presence anew at a time; true if others are to hear of it.
    fn derive(&mut self, user: UserNid, ms: i64, place: i64, new_status: bool) -> bool {
        let Some(person) = self.people.get_mut(&user) else {
            return false;
        };
        let (derived, next) = derive(person.devices.values(), ms, self.times);
        if let Some(old) = std::mem::replace(&mut person.next, next) {
            self.timers.remove(&(old, user));
        }
        self.timers.extend(next.map(|next| (next, user)));
        let was_present = person.is_present();
        let changed = std::mem::replace(&mut person.derived, derived) != derived || new_status;
        match (was_present, person.is_present()) {
            (false, true) => self.present.add(user, &person.rooms),
            (true, false) => self.present.remove(user, &person.rooms),
            _ => {}
        }
        if changed {
            self.note(user, place);
        }
        changed
    }

    /// Lets others hear of a user whom no entry and no end tells of.
    fn touch(&mut self, user: UserNid) {
        self.note(user, 0);
    }

    fn note(&mut self, user: UserNid, place: i64) {
        let Some(person) = self.people.get_mut(&user) else {
            return;
        };
        self.changes.remove(&(person.changed_at, user));
        person.changed_at = self.applied.stamp(place);
        self.changes.insert((person.changed_at, user));
    }

    /// Takes a user into memory, if there is room.
    fn enter(&mut self, user: UserNid, user_id: &str) {
        if !self.people.contains_key(&user) && self.make_room() {
            self.people.insert(user, Person::new(user_id));
            self.stale.insert(user);
        }
    }

    /// Room for one more; false if nobody can go.
    fn make_room(&mut self) -> bool {
        if self.people.len() < MOST_PEOPLE {
            return true;
        }
        let offline = |(_, user): &&(i64, UserNid)| {
            let person = self.people.get(user);
            person.is_none_or(|person| person.derived.state == State::Offline)
        };
        // Mostly the first; if it is not among these, nobody need wait for the search.
        let Some((at, user)) = self.changes.iter().take(100).find(offline).copied() else {
            return false;
        };
        self.applied.floor = self.applied.floor.max(at);
        self.changes.remove(&(at, user));
        if let Some(next) = self.people.remove(&user).and_then(|person| person.next) {
            self.timers.remove(&(next, user));
        }
        true
    }
}

impl Shown {
    /// Appends the event as clients see it.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let mut content = serde_json::Map::new();
        content.insert("presence".to_owned(), self.state.as_str().into());
        if self.state == State::Online {
            content.insert("currently_active".to_owned(), self.currently_active.into());
        }
        if let Some(ago) = self.last_active_ago {
            content.insert("last_active_ago".to_owned(), ago.into());
        }
        if let Some(status) = self.status.as_deref() {
            content.insert("status_msg".to_owned(), status.into());
        }
        let event = serde_json::json!({
            "content": content, "sender": &*self.user_id, "type": "m.presence",
        });
        out.extend_from_slice(event.to_string().as_bytes());
    }
}

impl Person {
    fn new(user_id: &str) -> Self {
        Self {
            user_id: user_id.into(),
            devices: BTreeMap::new(),
            rooms: Vec::new(),
            rooms_are: Rooms::Stale,
            status: None,
            status_at: 0,
            derived: Derived::default(),
            changed_at: 0,
            next: None,
        }
    }

    /// The rooms in which others hear of the user.
    pub(super) fn rooms(&self) -> &[RoomNid] {
        &self.rooms
    }

    pub(super) fn device(&self, device: &str) -> Option<&Device> {
        self.devices.get(device)
    }

    /// True if something was heard of the user in this life of the process.
    pub(super) fn is_heard_of(&self) -> bool {
        self.changed_at > 0
    }

    /// When the user was active last; 0 if that is not known.
    pub(super) fn last_active(&self) -> i64 {
        let devices = self.devices.values();
        devices.map(|device| device.last_active).max().unwrap_or(0)
    }

    /// As others see the user when Redis's time is `now`.
    pub(super) fn show(&self, now: i64) -> Shown {
        let last_active = self.last_active();
        Shown {
            user_id: self.user_id.clone(),
            state: self.derived.state,
            currently_active: self.derived.currently_active,
            last_active_ago: (last_active > 0).then(|| (now - last_active).max(0)),
            status: self.status.clone(),
        }
    }

    fn is_present(&self) -> bool {
        self.derived.state != State::Offline
    }

    /// True if the user is in one of these rooms, which are in order.
    fn shares(&self, rooms: &[RoomNid]) -> bool {
        let (few, many) = if rooms.len() < self.rooms.len() {
            (rooms, self.rooms.as_slice())
        } else {
            (self.rooms.as_slice(), rooms)
        };
        few.iter().any(|room| many.binary_search(room).is_ok())
    }

    /// True if that is a change.
    fn member(&mut self, room: RoomNid, joined: bool) -> bool {
        match (self.rooms.binary_search(&room), joined) {
            (Ok(place), false) => {
                self.rooms.remove(place);
                true
            }
            (Err(place), true) => {
                self.rooms.insert(place, room);
                true
            }
            _ => false,
        }
    }

    /// True if it is later than the one that is known, and another.
    fn set_status(&mut self, text: Option<&str>, at: i64) -> bool {
        if at <= self.status_at {
            return false;
        }
        self.status_at = at;
        let changed = self.status.as_deref() != text;
        self.status = text.map(Into::into);
        changed
    }

    fn drop_devices(&mut self) {
        if self.devices.len() <= MOST_DEVICES {
            return;
        }
        let oldest = self.devices.iter().min_by_key(|(_, d)| d.last_seen);
        if let Some(oldest) = oldest.map(|(id, _)| id.clone()) {
            self.devices.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests;
