//! What of a room a user may read at all.

use std::sync::Arc;

use ganglion_model::{HistoryVisibility, Membership, Position};
use ganglion_storage::StorageError;
use ganglion_storage::memberships::{self, MembershipRecord};

use crate::client_event::Viewer;
use crate::ignored::Ignored;
use crate::room::{RoomInfo, Rooms};
use crate::state::StateAt;
use crate::view::View;
use crate::visibility::set_visibility;

/// Up to where a user may read a room's state (client-server API, "Getting events for a room").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Joined: as it is now.
    Joined,
    /// Was joined: as it was after the entry at this position, which ended that.
    Left(Position),
    /// Never joined, but the room is readable for all now.
    World,
    /// Not at all.
    None,
}

/// A room that a user asks about, at the moment of a view.
#[derive(Debug, Clone)]
pub struct Entered {
    /// The room.
    pub room: RoomInfo,
    /// The user's membership changes in it, in order.
    pub changes: Vec<MembershipRecord>,
    /// What the user may read of it.
    pub access: Access,
    /// Whom the user ignores.
    pub ignored: Arc<Ignored>,
}

impl Entered {
    /// True if the user is joined now.
    #[must_use]
    pub fn is_joined(&self) -> bool {
        self.access == Access::Joined
    }

    /// The place whose state the user may read: `pos`, but not past the leaving.
    #[must_use]
    pub fn readable(&self, pos: Position) -> Position {
        match self.access {
            Access::Left(left) => pos.min(left),
            _ => pos,
        }
    }
}

/// By membership alone; `None` where only the room's history visibility can help.
#[must_use]
pub fn by_membership(changes: &[MembershipRecord]) -> Option<Access> {
    if changes.last()?.membership == Membership::Join {
        return Some(Access::Joined);
    }
    let last_join = changes
        .iter()
        .rposition(|change| change.membership == Membership::Join)?;
    changes
        .get(last_join + 1)
        .map(|change| Access::Left(change.pos))
}

impl Rooms {
    /// A room for a user; `None` if this server does not know the room.
    ///
    /// # Errors
    /// As [`View::snapshot`].
    pub async fn enter(
        &self,
        view: &mut View,
        room_id: &str,
        viewer: Viewer<'_>,
    ) -> Result<Option<Entered>, StorageError> {
        let Some(room) = self.find(view, room_id).await? else {
            return Ok(None);
        };
        let ignored = self.ignored(view, viewer).await?;
        let user = viewer.user_nid;
        let snapshot = view.snapshot().await?;
        let changes = memberships::in_room(snapshot, room.shard, user, room.nid).await?;
        let access = match by_membership(&changes) {
            Some(access) => access,
            None => {
                let now = self.state_at(view, &room, Position::MAX).await?;
                match self.history_visibility(view, &room, &now).await? {
                    HistoryVisibility::WorldReadable => Access::World,
                    _ => Access::None,
                }
            }
        };
        Ok(Some(Entered {
            room,
            changes,
            access,
            ignored,
        }))
    }

    /// The history visibility of a state.
    ///
    /// # Errors
    /// As [`View::snapshot`].
    pub async fn history_visibility(
        &self,
        view: &mut View,
        room: &RoomInfo,
        state: &StateAt,
    ) -> Result<HistoryVisibility, StorageError> {
        let key = ("m.room.history_visibility".to_owned(), String::new());
        let found = self.state_at_keys(view, room, state, [key]).await?;
        let event = found.into_values().next();
        Ok(event.map_or(HistoryVisibility::default(), |event: Arc<_>| {
            set_visibility(&event.content)
        }))
    }
}

#[cfg(test)]
mod tests;
