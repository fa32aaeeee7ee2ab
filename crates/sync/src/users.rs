//! The rooms of users, with every membership change: the room list at any vector, and who was what
//! at any event, come from it without a read.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ganglion_model::{Position, RoomNid, Shard, UserNid};
use ganglion_rooms::{RoomInfo, View};
use ganglion_storage::StorageError;
use ganglion_storage::memberships::{self, MembershipRecord};
use moka::sync::Cache;

use crate::moment::Moment;

/// Users whose rooms are remembered, and for how long without use.
const REMEMBERED: u64 = 20_000;
const IDLE: Duration = Duration::from_secs(3_600);

/// A room and one user's membership changes in it, in order.
#[derive(Debug, Clone)]
pub(crate) struct UserRoom {
    pub(crate) info: RoomInfo,
    pub(crate) changes: Vec<MembershipRecord>,
    /// Changes up to here are forgotten, and not among `changes`.
    pub(crate) forgotten: Option<Position>,
}

/// All rooms in which a user has or had a membership.
pub(crate) type RoomList = BTreeMap<RoomNid, Arc<UserRoom>>;

/// The room lists of the users who sync here.
pub(crate) struct Users {
    lists: Cache<UserNid, Arc<Held>>,
    /// Lists of earlier rounds have missed changes.
    round: AtomicU64,
}

struct Held {
    round: u64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    list: Option<Arc<RoomList>>,
    /// Changes that came while the list was being read.
    pending: Vec<Change>,
}

enum Change {
    Membership(RoomInfo, MembershipRecord),
    Forgotten(RoomNid, Position),
}

impl Users {
    pub(crate) fn new() -> Self {
        let lists = Cache::builder()
            .max_capacity(REMEMBERED)
            .time_to_idle(IDLE)
            .build();
        Self {
            lists,
            round: AtomicU64::new(0),
        }
    }

    /// A change that the log brought; `room` is asked only if somebody cares.
    pub(crate) fn applied(
        &self,
        user: UserNid,
        change: MembershipRecord,
        room: impl FnOnce() -> Option<RoomInfo>,
    ) {
        let Some(held) = self.lists.get(&user) else {
            return;
        };
        let Some(room) = room() else {
            self.lists.invalidate(&user);
            return;
        };
        let mut state = held.lock();
        match &mut state.list {
            Some(list) => add(Arc::make_mut(list), room, change),
            None => state.pending.push(Change::Membership(room, change)),
        }
    }

    /// The log brought that a user has forgotten a room's changes up to a position.
    pub(crate) fn forgotten(&self, user: UserNid, room: RoomNid, up_to: Position) {
        let Some(held) = self.lists.get(&user) else {
            return;
        };
        let mut state = held.lock();
        match &mut state.list {
            // Read anew, the list knows what is forgotten of the room before its changes come.
            Some(list) => {
                if !forget(Arc::make_mut(list), room, up_to) {
                    self.lists.invalidate(&user);
                }
            }
            None => state.pending.push(Change::Forgotten(room, up_to)),
        }
    }

    /// The log was not followed without a gap: every list may have missed something.
    pub(crate) fn forget_all(&self) {
        self.round.fetch_add(1, Ordering::AcqRel);
    }

    /// A user's list, with all changes up to where the log is applied now.
    ///
    /// `now` tells how far that is; `view` is used if it shows as much.
    pub(crate) async fn get(
        &self,
        view: &mut View,
        (shard, user): (Shard, UserNid),
        now: impl Fn() -> Moment,
        fresh: impl FnOnce() -> View,
    ) -> Result<Arc<RoomList>, StorageError> {
        let round = self.round.load(Ordering::Acquire);
        let held = self.lists.get(&user).filter(|held| held.round == round);
        let held = held.unwrap_or_else(|| {
            let held = Arc::new(Held {
                round,
                state: Mutex::default(),
            });
            self.lists.insert(user, held.clone());
            held
        });
        if let Some(list) = &held.lock().list {
            return Ok(list.clone());
        }
        // From here on the log's changes are collected; what came before is in the database.
        let applied = now();
        let heads = view.snapshot().await?.heads().await?;
        let loaded = if Moment::of_heads(&heads, shard).covers(&applied) {
            load(view, user).await?
        } else {
            // In its place: who holds one view and waits for another may wait for ever.
            *view = fresh();
            load(view, user).await?
        };
        let mut state = held.lock();
        let mut list = loaded;
        for change in state.pending.drain(..) {
            match change {
                Change::Membership(room, change) => add(&mut list, room, change),
                Change::Forgotten(room, up_to) => {
                    if !forget(&mut list, room, up_to) {
                        self.lists.invalidate(&user);
                    }
                }
            }
        }
        let list = Arc::new(list);
        // Another request may have been first, and changes applied to its list since.
        Ok(state.list.get_or_insert(list).clone())
    }
}

impl Held {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A user's list as a view shows it.
pub(crate) async fn load(view: &mut View, user: UserNid) -> Result<RoomList, StorageError> {
    let mut list = RoomList::new();
    for room in memberships::of_user(view.snapshot().await?, user).await? {
        let info = RoomInfo::new(room.room_nid, &room.room_id, room.shard, &room.version)?;
        list.insert(
            info.nid,
            Arc::new(UserRoom {
                info,
                changes: room.changes,
                forgotten: room.forgotten,
            }),
        );
    }
    Ok(list)
}

fn add(list: &mut RoomList, info: RoomInfo, change: MembershipRecord) {
    let room = list.entry(info.nid).or_insert_with(|| {
        Arc::new(UserRoom {
            info,
            changes: Vec::new(),
            forgotten: None,
        })
    });
    // The user's log may be ahead of the room's.
    if Some(change.pos) <= room.forgotten {
        return;
    }
    let changes = &mut Arc::make_mut(room).changes;
    if let Err(place) = changes.binary_search_by_key(&change.pos, |change| change.pos) {
        changes.insert(place, change);
    }
}

/// False if the room is not there: this process has yet to hear of the changes that are forgotten.
fn forget(list: &mut RoomList, room: RoomNid, up_to: Position) -> bool {
    let Some(room) = list.get_mut(&room) else {
        return false;
    };
    let room = Arc::make_mut(room);
    room.forgotten = room.forgotten.max(Some(up_to));
    room.changes.retain(|change| change.pos > up_to);
    true
}

#[cfg(test)]
mod tests;
