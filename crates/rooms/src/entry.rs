//! What decides how somebody gets into a room: aliases and join rules.

use std::collections::BTreeSet;

use ganglion_event_rules::content::is_storable_key;
use ganglion_model::{Membership, Position, UserNid};
use ganglion_storage::{StorageError, directory, memberships};
use ruma::{OwnedRoomId, RoomAliasId, RoomId};
use serde::Deserialize;
use serde_json::Value;

use crate::room::{RoomInfo, Rooms};
use crate::view::View;

/// Rooms of an `allow` list that are looked at; a list is as long as an event may be.
const MOST_ALLOWED: usize = 100;

#[derive(Deserialize)]
struct JoinRules {
    join_rule: Option<String>,
    #[serde(default)]
    allow: Vec<Value>,
}

impl Rooms {
    /// The room that an alias of this server leads to.
    ///
    /// # Errors
    /// As [`View::snapshot`].
    pub async fn alias(
        &self,
        view: &mut View,
        alias: &RoomAliasId,
    ) -> Result<Option<OwnedRoomId>, StorageError> {
        let room_id = directory::room_of_alias(view.snapshot().await?, alias.as_str()).await?;
        Ok(room_id.and_then(|room_id| OwnedRoomId::try_from(room_id).ok()))
    }

    /// The aliases that the room's `m.room.canonical_alias` names now.
    ///
    /// # Errors
    /// As [`View::snapshot`].
    pub async fn canonical_aliases(
        &self,
        view: &mut View,
        room_id: &RoomId,
    ) -> Result<BTreeSet<String>, StorageError> {
        let Some(room) = self.find(view, room_id.as_str()).await? else {
            return Ok(BTreeSet::new());
        };
        let content = self
            .content_now(view, &room, "m.room.canonical_alias")
            .await?;
        let alternatives = content.get("alt_aliases").and_then(Value::as_array);
        let named = alternatives
            .into_iter()
            .flatten()
            .chain(content.get("alias"));
        Ok(named.filter_map(Value::as_str).map(str::to_owned).collect())
    }

    /// Whether the user is in a room that the join rule allows (client-server API, "Restricted
    /// rooms").
    ///
    /// # Errors
    /// As [`View::snapshot`].
    pub async fn join_rule_allows(
        &self,
        view: &mut View,
        room_id: &RoomId,
        user: UserNid,
    ) -> Result<bool, StorageError> {
        let Some(room) = self.find(view, room_id.as_str()).await? else {
            return Ok(false);
        };
        let content = self.content_now(view, &room, "m.room.join_rules").await?;
        for allowed in allowed_rooms(content) {
            let Some(room) = self.find(view, &allowed).await? else {
                continue;
            };
            let snapshot = view.snapshot().await?;
            let changes = memberships::in_room(snapshot, room.shard, user, room.nid).await?;
            if changes
                .last()
                .is_some_and(|last| last.membership == Membership::Join)
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The content of a state event with an empty state key; null if there is none.
    ///
    /// # Errors
    /// As [`View::snapshot`].
    pub async fn content_now(
        &self,
        view: &mut View,
        room: &RoomInfo,
        event_type: &str,
    ) -> Result<Value, StorageError> {
        let now = self.state_at(view, room, Position::MAX).await?;
        let key = (event_type.to_owned(), String::new());
        let found = self.state_at_keys(view, room, &now, [key]).await?;
        let event = found.into_values().next();
        Ok(event
            .and_then(|event| serde_json::from_slice(&event.content).ok())
            .unwrap_or_default())
    }
}

/// The rooms whose members may join.
pub(crate) fn allowed_rooms(join_rules: Value) -> Vec<String> {
    let Ok(rules) = serde_json::from_value::<JoinRules>(join_rules) else {
        return Vec::new();
    };
    if !matches!(
        rules.join_rule.as_deref(),
        Some("restricted" | "knock_restricted")
    ) {
        return Vec::new();
    }
    let by_membership = |condition: &&Value| {
        condition.get("type").and_then(Value::as_str) == Some("m.room_membership")
    };
    rules
        .allow
        .iter()
        .filter(by_membership)
        .filter_map(|condition| condition.get("room_id")?.as_str())
        // No room is called so, and PostgreSQL could not be asked.
        .filter(|room_id| is_storable_key(room_id))
        .map(str::to_owned)
        .take(MOST_ALLOWED)
        .collect()
}

#[cfg(test)]
mod tests;
