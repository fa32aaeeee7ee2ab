//! The recent entries of all logs, in memory, bounded; and who waits for more.

mod receipts;
mod ring;
mod waiters;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ganglion_cluster::follower::{Apply, LogBatch};
use ganglion_config::Limits;
use ganglion_model::shard::FOLLOWED_SHARDS;
use ganglion_model::{
    EventNid, Membership, Position, RoomNid, Shard, ShardFamily, UserNid, Vector,
};
use ganglion_proto::log;
use ganglion_rooms::{RoomEvent, RoomInfo, Rooms, ignored};
use ganglion_storage::log::kind;
use ganglion_storage::memberships::MembershipRecord;
use ganglion_storage::receipts::Receipt;
use ganglion_storage::timeline::Range;
use prost::Message as _;
use tokio::sync::Notify;

pub(crate) use ring::Entry;
use ring::Ring;
use waiters::Waiters;

use crate::followed::Followed;
use crate::presence::Presence;
use crate::receipts::OwnReceipts;
use crate::rules::OwnRules;
use crate::typing::Typing;
use crate::users::{Change, Users};

/// The part of a room shard's bytes that is for receipts: one in this many.
const RECEIPT_SHARE: usize = 4;

/// The tails of all shard logs of one process. A clone is the same handle.
#[derive(Clone)]
pub struct Tail(Arc<Inner>);

struct Inner {
    rings: Vec<Mutex<Rings>>,
    waiters: Mutex<Waiters>,
    /// Rooms whose waiters will be woken in a while.
    late: Mutex<HashSet<RoomNid>>,
    rooms: Rooms,
    users: Users,
    own_receipts: Followed<OwnReceipts>,
    own_rules: Followed<OwnRules>,
    typing: Typing,
    presence: Presence,
}

/// One shard's recent entries. Receipts have a ring of their own: there are more of them than events,
/// and they must not drive those out.
struct Rings {
    entries: Ring<Entry>,
    receipts: Ring<Arc<Receipt>>,
}

impl Rings {
    fn restart(&mut self, head: Position) {
        self.entries.restart(head);
        self.receipts.restart(head);
    }
}

/// What one batch does beside filling the ring.
#[derive(Default)]
struct Touched {
    rooms: Vec<RoomNid>,
    users: Vec<UserNid>,
    /// Crowded rooms with a receipt that others see.
    late: Vec<RoomNid>,
}

impl Tail {
    /// Empty tails, which fill as a follower applies batches to them; `rooms` is told of redactions,
    /// `typing` and `presence` of who joins and leaves a room.
    #[must_use]
    pub fn new(rooms: Rooms, typing: Typing, presence: Presence, limits: &Limits) -> Self {
        let bytes = limits.tail_bytes / usize::from(FOLLOWED_SHARDS);
        let rings = |shard: Shard| {
            let for_receipts = match shard.family() {
                ShardFamily::Room => bytes / RECEIPT_SHARE,
                ShardFamily::User | ShardFamily::Push => 0,
            };
            Mutex::new(Rings {
                entries: Ring::new(limits.tail_entries, bytes - for_receipts),
                receipts: Ring::new(limits.tail_entries, for_receipts),
            })
        };
        Self(Arc::new(Inner {
            rings: Shard::followed().map(rings).collect(),
            waiters: Mutex::default(),
            late: Mutex::default(),
            rooms,
            users: Users::new(),
            own_receipts: Followed::new(),
            own_rules: Followed::new(),
            typing,
            presence,
        }))
    }

    pub(crate) fn users(&self) -> &Users {
        &self.0.users
    }

    pub(crate) fn own_rules(&self) -> &Followed<OwnRules> {
        &self.0.own_rules
    }

    pub(crate) fn own_receipts(&self) -> &Followed<OwnReceipts> {
        &self.0.own_receipts
    }

    /// The last position that was applied.
    pub(crate) fn position(&self, shard: Shard) -> Position {
        self.rings(shard).map_or(0, |rings| rings.entries.head())
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
        self.rings(shard)?.entries.of_room(room, range, count)
    }

    /// Those of some rooms of a shard that have an entry within a range; `None` if the range is not
    /// all here.
    pub(crate) fn changed_rooms(
        &self,
        shard: Shard,
        rooms: &[RoomNid],
        range: Range,
    ) -> Option<Vec<RoomNid>> {
        let ring = &self.rings(shard)?.entries;
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
        self.rings(shard)?.entries.of_user(user, range)
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
            .rings(interest.user_shard)
            .is_some_and(|rings| rings.entries.last_of_user(interest.user) > Some(seen_user));
        user || interest.rooms.iter().any(|(shard, room)| {
            let seen = Some(seen.get(*shard));
            self.rings(*shard).is_some_and(|rings| {
                rings.entries.last_of_room(*room) > seen
                    || rings.receipts.last_of_room(*room) > seen
            })
        })
    }

    /// Wakes those who wait for one of these rooms.
    pub(crate) fn wake_rooms(&self, rooms: impl IntoIterator<Item = RoomNid>) {
        let mut rooms = rooms.into_iter().peekable();
        if rooms.peek().is_none() {
            return;
        }
        let waiters = lock(&self.0.waiters);
        for room in rooms {
            waiters.wake_room(room);
        }
    }

    /// The same for those of the rooms for which at most `most` wait.
    pub(crate) fn wake_quiet_rooms(&self, rooms: impl IntoIterator<Item = RoomNid>, most: usize) {
        for room in rooms {
            lock(&self.0.waiters).wake_quiet_room(room, most);
        }
    }

    fn rings(&self, shard: Shard) -> Option<MutexGuard<'_, Rings>> {
        self.0.rings.get(shard.index()).map(lock)
    }

    fn decode(
        &self,
        family: ShardFamily,
        entry: &log::Entry,
        touched: &mut Touched,
    ) -> Option<Entry> {
        match (family, entry.kind) {
            (ShardFamily::Room, kind::EVENT) => {
                let event = decoded::<log::Event>(entry)?;
                Some(self.event(event, entry.pos, touched))
            }
            (ShardFamily::Room, kind::STATE_REPLACED | kind::FULLY_STATED) => {
                let change = decoded::<log::RoomChange>(entry)?;
                let room = RoomNid(change.room_nid);
                touched.rooms.push(room);
                // It may have changed memberships that no entry shows.
                self.0.users.forget_all();
                self.0.presence.rooms_are_stale();
                Some(Entry::RoomChange { room })
            }
            (ShardFamily::User, kind::ACCOUNT_DATA) => {
                let data = decoded::<log::AccountData>(entry)?;
                let user = UserNid(data.user_nid);
                touched.users.push(user);
                if data.r#type == ganglion_push_rules::TYPE {
                    self.0.own_rules.applied(user, || Some(()));
                }
                if data.room_nid == 0 && data.r#type == ignored::TYPE {
                    self.0.rooms.ignored_set(user, entry.pos, &data.content);
                }
                Some(Entry::AccountData {
                    user,
                    room: RoomNid(data.room_nid),
                    data_type: data.r#type,
                    content: data.content,
                })
            }
            (ShardFamily::User, kind::ROOM_FORGOTTEN) => {
                let forgotten = decoded::<log::RoomForgotten>(entry)?;
                let change = Change::Forgotten(RoomNid(forgotten.room_nid), forgotten.up_to);
                let user = UserNid(forgotten.user_nid);
                self.0.users.applied(user, || Some(change));
                // Nobody waits to hear it.
                None
            }
            _ => None,
        }
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
        let joined = membership == Membership::Join;
        self.0
            .presence
            .member(target, RoomNid(event.room_nid), joined);
        if !joined && let Some(user) = &event.state_key {
            self.0.typing.left(RoomNid(event.room_nid), user);
        }
        let change = MembershipRecord {
            pos,
            membership,
            event_nid: EventNid(event.event_nid),
        };
        self.0.users.applied(target, || {
            let shard = Shard::of_room(ruma::RoomId::parse(&event.room_id).ok()?.as_ref());
            let room = RoomInfo::new(
                RoomNid(event.room_nid),
                &event.room_id,
                shard,
                &event.room_version,
            );
            Some(Change::Membership(room.ok()?, change))
        });
    }
}

impl Apply for Tail {
    fn apply(&self, batch: &LogBatch) {
        let family = batch.shard.family();
        let mut touched = Touched::default();
        let mut redacted = Vec::new();
        let mut entries = Vec::with_capacity(batch.entries.len());
        let mut receipts = Vec::new();
        for entry in &batch.entries {
            match (family, entry.kind) {
                (ShardFamily::Room, kind::RECEIPT) => {
                    let receipt = self.receipt(entry, &mut touched);
                    receipts.extend(receipt.map(|receipt| (entry.pos, receipt)));
                    continue;
                }
                (ShardFamily::Room, kind::EVENT) => redacted.extend(redaction(entry)),
                _ => {}
            }
            let kept = self.decode(family, entry, &mut touched);
            entries.extend(kept.map(|kept| (entry.pos, kept)));
        }
        // Caches first: who sees the new position in the ring must not find older words there.
        for (_, target) in &redacted {
            self.0.rooms.redacted(*target);
        }
        self.0.rooms.ignored_applied(batch.shard, batch.last);
        if let Some(mut rings) = self.rings(batch.shard) {
            let span = (batch.first, batch.last);
            rings.entries.extend(span, entries);
            rings.receipts.extend(span, receipts);
            for (room, target) in redacted {
                rings.entries.redact(room, target);
            }
        }
        for room in touched.late {
            self.wake_late(room);
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
        self.0.own_receipts.forget_all();
        self.0.own_rules.forget_all();
        self.0.presence.rooms_are_stale();
        self.0.rooms.redactions_missed();
        self.0.rooms.ignored_missed(shard, head);
        if let Some(mut rings) = self.rings(shard) {
            rings.restart(head);
        }
        lock(&self.0.waiters).wake_all();
    }
}

fn decoded<M: prost::Message + Default>(entry: &log::Entry) -> Option<M> {
    M::decode(entry.payload.clone())
        .inspect_err(|error| {
            tracing::error!(position = entry.pos, error = %error, "a log entry does not decode");
        })
        .ok()
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
