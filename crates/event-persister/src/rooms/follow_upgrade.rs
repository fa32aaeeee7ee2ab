//! Who comes into a room that replaces another brings along what they have said of that one
//! (client-server API, "Room upgrades"): the join and a job for the rest are one batch.

use ganglion_event_rules::Pdu;
use ganglion_model::{CommandId, Membership};
use ganglion_storage::StorageError;
use ganglion_storage::batch::JobRow;
use ruma::{OwnedRoomId, UserId};
use serde::Deserialize;

use super::RoomShard;
use super::room::{Room, StateEvent};
use crate::users::jobs::{FOLLOW_UPGRADE, Upgrade};

impl RoomShard {
    /// The job of an event that is about to be placed, if it lets a user of this server into a room
    /// with a predecessor. Create event and old member event must be loaded.
    pub(super) async fn follow_upgrade(
        &self,
        room: &Room,
        event: &Pdu,
        now_ms: i64,
    ) -> Result<Option<JobRow>, StorageError> {
        let Some(user) = event.state_key.as_deref() else {
            return Ok(None);
        };
        let before = room.state("m.room.member", user);
        let stays = before.and_then(StateEvent::membership) == Some(Membership::Join);
        if event.membership() != Some(Membership::Join) || stays {
            return Ok(None);
        }
        let is_here =
            UserId::parse(user).is_ok_and(|user| user.server_name() == self.shared.server_name);
        let Some(old_room) = predecessor(room).filter(|_| is_here) else {
            return Ok(None);
        };
        let upgrade = Upgrade {
            old_room: old_room.to_string(),
            new_room: room.id.to_string(),
            by_creator: room
                .state("m.room.create", "")
                .is_some_and(|create| create.event.sender == user),
        };
        let body = serde_json::to_vec(&upgrade)
            .map_err(|error| StorageError::inconsistent(error.to_string()))?;
        Ok(Some(JobRow {
            job_id: *CommandId::of(&["follow-upgrade", event.event_id.as_str()]).as_bytes(),
            user_nid: self.shared.words.user(user).await?,
            kind: FOLLOW_UPGRADE,
            body,
            created_at: now_ms,
        }))
    }
}

/// The room that this one replaces, as its creator says.
fn predecessor(room: &Room) -> Option<OwnedRoomId> {
    #[derive(Deserialize)]
    struct Content {
        predecessor: Predecessor,
    }
    #[derive(Deserialize)]
    struct Predecessor {
        room_id: OwnedRoomId,
    }
    let create = &room.state("m.room.create", "")?.event;
    let content: Content = serde_json::from_str(create.content.get()).ok()?;
    Some(content.predecessor.room_id)
}
