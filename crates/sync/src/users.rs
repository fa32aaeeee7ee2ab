//! The rooms of users, with every membership change: the room list at any vector, and who was what
//! at any event, come from it without a read.

use std::collections::BTreeMap;
use std::sync::Arc;

use ganglion_model::{Position, RoomNid, UserNid};
use ganglion_rooms::{RoomInfo, View};
use ganglion_storage::StorageError;
use ganglion_storage::memberships::{self, MembershipRecord};

use crate::followed::{Followed, Kept};

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
pub(crate) type Users = Followed<RoomList>;

/// What the logs bring for a user's list.
pub(crate) enum Change {
    /// Of a membership in a room.
    Membership(RoomInfo, MembershipRecord),
    /// A room is forgotten up to a position.
    Forgotten(RoomNid, Position),
}

impl Kept for RoomList {
    type Change = Change;

    async fn load(view: &mut View, user: UserNid) -> Result<Self, StorageError> {
        let mut list = Self::new();
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

    fn apply(&mut self, change: Change) -> bool {
        match change {
            Change::Membership(room, change) => {
                add(self, room, change);
                true
            }
            // Read anew, the list knows what is forgotten of the room before its changes come.
            Change::Forgotten(room, up_to) => forget(self, room, up_to),
        }
    }
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
