//! The recent entries of all logs, in memory, bounded; and who waits for more.

mod ring;
mod waiters;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ganglion_cluster::follower::{Apply, LogBatch};
use ganglion_config::Limits;
use ganglion_model::shard::ALL_SHARDS;
use ganglion_model::{
    EventNid, Membership, Position, RoomNid, Shard, ShardFamily, UserNid, Vector,
};
use ganglion_proto::log;
use ganglion_rooms::{RoomEvent, RoomInfo, Rooms, ignored};
use ganglion_storage::log::kind;
use ganglion_storage::memberships::MembershipRecord;
use ganglion_storage::timeline::Range;
use prost::Message as _;
use tokio::sync::Notify;

pub(crate) use ring::Entry;
use ring::Ring;
use waiters::Waiters;

use crate::users::Users;

/// The tails of all shard logs of one process. A clone is the same handle.
#[derive(Clone)]
pub struct Tail(Arc<Inner>);

struct Inner {
    rings: Vec<Mutex<Ring>>,
    waiters: Mutex<Waiters>,
    rooms: Rooms,
    users: Users,
}

/// What one batch does beside filling the ring.
#[derive(Default)]
struct Touched {
    rooms: Vec<RoomNid>,
    users: Vec<UserNid>,
}

impl Tail {
    /// Empty tails, which fill as a follower applies batches to them; `rooms` is told of redactions.
    #[must_use]
    pub fn new(rooms: Rooms, limits: &Limits) -> Self {
        let bytes = limits.tail_bytes / usize::from(ALL_SHARDS);
        let ring = || Mutex::new(Ring::new(limits.tail_entries, bytes));
        Self(Arc::new(Inner {
            rings: Shard::all().map(|_shard| ring()).collect(),
            waiters: Mutex::new(Waiters::default()),
            rooms,
            users: Users::new(),
        }))
    }

    pub(crate) fn users(&self) -> &Users {
        &self.0.users
    }

    /// The last position that was applied.
    pub(crate) fn position(&self, shard: Shard) -> Position {
        self.ring(shard).map_or(0, |ring| ring.head())
    }

    /// The last positions of the room shards.
    pub(crate) fn vector(&self) -> Vector {
        let mut vector = Vector::ZERO;
        for shard in Shard::rooms() {
            vector.set(shard, self.position(shard));
        }
        vector
    }

    /// A room's entries within a range, the newest first, at most `count`; `None` if they are not
    /// all here.
    pub(crate) fn of_room(
        &self,
        shard: Shard,
        room: RoomNid,
        range: Range,
        count: usize,
    ) -> Option<Vec<(Position, Entry)>> {
        self.ring(shard)?.of_room(room, range, count)
    }

    /// Those of some rooms of a shard that have an entry within a range; `None` if the range is not
    /// all here.
    pub(crate) fn changed_rooms(
        &self,
        shard: Shard,
        rooms: &[RoomNid],
        range: Range,
    ) -> Option<Vec<RoomNid>> {
        let ring = self.ring(shard)?;
        // Entries past the range make a room look changed, too: then it has nothing to show.
        let changed = |room: &&RoomNid| ring.last_of_room(**room) > Some(range.after);
        ring.covers(range)
            .then(|| rooms.iter().filter(changed).copied().collect())
    }

    /// A user's entries within a range of the user's log, the newest first; `None` if they are not
    /// all here.
    pub(crate) fn of_user(
        &self,
        shard: Shard,
        user: UserNid,
        range: Range,
    ) -> Option<Vec<(Position, Entry)>> {
        self.ring(shard)?.of_user(user, range)
    }

    /// Begins to watch for a user: from now on a change of the user's memberships or of the user's
    /// log wakes. What else wakes is added by [`Watch::add`].
    pub(crate) fn watch(&self, user: UserNid) -> Watch {
        let (id, notify) = lock(&self.0.waiters).add(user);
        Watch {
            tail: self.clone(),
            id,
            user,
            rooms: Vec::new(),
            notify,
        }
    }

    /// Whether something of this interest is newer than what was seen.
    fn has_newer(&self, interest: &Interest, seen: &Vector, seen_user: Position) -> bool {
        let user = self
            .ring(interest.user_shard)
            .is_some_and(|ring| ring.last_of_user(interest.user) > Some(seen_user));
        user || interest.rooms.iter().any(|(shard, room)| {
            self.ring(*shard)
                .is_some_and(|ring| ring.last_of_room(*room) > Some(seen.get(*shard)))
        })
    }

    fn ring(&self, shard: Shard) -> Option<MutexGuard<'_, Ring>> {
        self.0.rings.get(shard.index()).map(lock)
    }

    fn decode(
        &self,
        family: ShardFamily,
        entry: &log::Entry,
        touched: &mut Touched,
    ) -> Option<Entry> {
        let decoded = match (family, entry.kind) {
            (ShardFamily::Room, kind::EVENT) => {
                log::Event::decode(entry.payload.clone()).map(|e| self.event(e, entry.pos, touched))
            }
            (ShardFamily::Room, kind::STATE_REPLACED | kind::FULLY_STATED) => {
                log::RoomChange::decode(entry.payload.clone()).map(|change| {
                    let room = RoomNid(change.room_nid);
                    touched.rooms.push(room);
                    // It may have changed memberships that no entry shows.
                    self.0.users.forget_all();
                    Entry::RoomChange { room }
                })
            }
            (ShardFamily::User, kind::ACCOUNT_DATA) => {
                log::AccountData::decode(entry.payload.clone()).map(|data| {
                    let user = UserNid(data.user_nid);
                    touched.users.push(user);
                    if data.room_nid == 0 && data.r#type == ignored::TYPE {
                        self.0.rooms.ignored_set(user, entry.pos, &data.content);
                    }
                    Entry::AccountData {
                        user,
                        room: RoomNid(data.room_nid),
                        data_type: data.r#type,
                        content: data.content,
                    }
                })
            }
            (ShardFamily::User, kind::ROOM_FORGOTTEN) => {
                return match log::RoomForgotten::decode(entry.payload.clone()) {
                    Ok(forgotten) => {
                        let (user, room) = (forgotten.user_nid, forgotten.room_nid);
                        let users = &self.0.users;
                        users.forgotten(UserNid(user), RoomNid(room), forgotten.up_to);
                        // Nobody waits to hear it.
                        None
                    }
                    Err(error) => {
                        tracing::error!(position = entry.pos, error = %error, "a log entry does not decode");
                        None
                    }
                };
            }
            _ => return None,
        };
        decoded
            .inspect_err(|error| {
                tracing::error!(position = entry.pos, error = %error, "a log entry does not decode");
            })
            .ok()
    }

    fn event(&self, event: log::Event, pos: Position, touched: &mut Touched) -> Entry {
        let room = RoomNid(event.room_nid);
        touched.rooms.push(room);
        if let Some(target) = event.target_nid.map(UserNid) {
            touched.users.push(target);
            self.membership(target, &event, pos);
        }
        Entry::Event {
            room,
            event: Arc::new(RoomEvent::from_log(event, pos)),
            stale: false,
        }
    }

    fn membership(&self, target: UserNid, event: &log::Event, pos: Position) {
        let membership = event
            .membership
            .and_then(|number| i16::try_from(number).ok());
        let Some(membership) = membership.and_then(Membership::from_i16) else {
            return;
        };
        let change = MembershipRecord {
            pos,
            membership,
            event_nid: EventNid(event.event_nid),
        };
        self.0.users.applied(target, change, || {
            let shard = Shard::of_room(ruma::RoomId::parse(&event.room_id).ok()?.as_ref());
            RoomInfo::new(
                RoomNid(event.room_nid),
                &event.room_id,
                shard,
                &event.room_version,
            )
            .ok()
        });
    }
}

impl Apply for Tail {
    fn apply(&self, batch: &LogBatch) {
        let family = batch.shard.family();
        let mut touched = Touched::default();
        let mut redacted = Vec::new();
        let mut entries = Vec::with_capacity(batch.entries.len());
        for entry in &batch.entries {
            if family == ShardFamily::Room && entry.kind == kind::EVENT {
                redacted.extend(redaction(entry));
            }
            entries.push((entry.pos, self.decode(family, entry, &mut touched)));
        }
        // Caches first: who sees the new position in the ring must not find older words there.
        for (_, target) in &redacted {
            self.0.rooms.redacted(*target);
        }
        self.0.rooms.ignored_applied(batch.shard, batch.last);
        if let Some(mut ring) = self.ring(batch.shard) {
            if ring.head() + 1 != batch.first {
                ring.restart(batch.first - 1);
            }
            let mut entries = entries.into_iter().peekable();
            for pos in batch.first..=batch.last {
                let entry = entries
                    .next_if(|(at, _)| *at == pos)
                    .and_then(|(_, entry)| entry);
                ring.push(entry);
            }
            for (room, target) in redacted {
                ring.redact(room, target);
            }
        }
        let waiters = lock(&self.0.waiters);
        for room in touched.rooms {
            waiters.wake_room(room);
        }
        for user in touched.users {
            waiters.wake_user(user);
        }
    }

    fn restart(&self, shard: Shard, head: Position) {
        self.0.users.forget_all();
        self.0.rooms.redactions_missed();
        self.0.rooms.ignored_missed(shard, head);
        if let Some(mut ring) = self.ring(shard) {
            ring.restart(head);
        }
        lock(&self.0.waiters).wake_all();
    }
}

/// The room and the target of a redaction that took effect.
fn redaction(entry: &log::Entry) -> Option<(RoomNid, EventNid)> {
    let event = log::Event::decode(entry.payload.clone()).ok()?;
    Some((RoomNid(event.room_nid), EventNid(event.redacts_nid?)))
}

/// What a request waits for.
pub(crate) struct Interest {
    pub(crate) user: UserNid,
    pub(crate) user_shard: Shard,
    pub(crate) rooms: Vec<(Shard, RoomNid)>,
}

/// A waiting request; dropping it ends the waiting.
pub(crate) struct Watch {
    tail: Tail,
    id: u64,
    user: UserNid,
    rooms: Vec<RoomNid>,
    notify: Arc<Notify>,
}

impl Watch {
    /// From now on entries of these rooms wake, too; at once if one is newer than what was seen.
    pub(crate) fn add(&mut self, interest: &Interest, seen: &Vector, seen_user: Position) {
        let rooms: Vec<RoomNid> = interest.rooms.iter().map(|(_, room)| *room).collect();
        lock(&self.tail.0.waiters).add_rooms(self.id, &rooms);
        self.rooms.extend(rooms);
        // Registered first, compared then: what comes in between wakes, what came before is seen.
        if self.tail.has_newer(interest, seen, seen_user) {
            self.notify.notify_one();
        }
    }

    /// Returns when there is something new.
    pub(crate) async fn woken(&self) {
        self.notify.notified().await;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        lock(&self.tail.0.waiters).remove(self.id, self.user, &self.rooms);
    }
}

/// Nothing panics while it holds one of these locks, and what they guard has no half-way state.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
