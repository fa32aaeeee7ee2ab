//! The contents of a replacement's first events.

use std::collections::HashMap;
use std::sync::Arc;

use ganglion_event_rules::RoomVersion;
use ganglion_event_rules::content::parse_object;
use ganglion_model::MatrixError;
use ganglion_proto::persister::StateContent;
use ganglion_rooms::{RoomEvent, RoomInfo, StateAt};
use ruma::api::client::room::upgrade_room::v3::Request;
use ruma::{CanonicalJsonObject, CanonicalJsonValue, Int, RoomId, UserId};

use super::canonical;

/// The power of who upgrades a room in which creators stand above all numbers to one where they do
/// not.
const CREATOR_LEVEL: i64 = 100;

/// A room that is to be replaced.
pub(super) struct Old {
    pub(super) room: RoomInfo,
    pub(super) now: StateAt,
    /// State events without state key, by type.
    pub(super) state: HashMap<String, Arc<RoomEvent>>,
}

impl Old {
    /// The state that is looked at.
    pub(super) const TYPES: [&'static str; 12] = [
        "m.room.create",
        "m.room.tombstone",
        "m.room.canonical_alias",
        "m.room.server_acl",
        "m.room.encryption",
        "m.room.name",
        "m.room.avatar",
        "m.room.topic",
        "m.room.guest_access",
        "m.room.history_visibility",
        "m.room.join_rules",
        "m.room.power_levels",
    ];
    /// Of that, what is copied as it is (client-server API, "Room Upgrades", step 3).
    const COPIED: [&'static str; 8] = [
        "m.room.server_acl",
        "m.room.encryption",
        "m.room.name",
        "m.room.avatar",
        "m.room.topic",
        "m.room.guest_access",
        "m.room.history_visibility",
        "m.room.join_rules",
    ];

    fn content(&self, event_type: &str) -> Result<Option<CanonicalJsonObject>, MatrixError> {
        let event = self.state.get(event_type);
        event
            .map(|event| parse_object(&event.content).map_err(MatrixError::from))
            .transpose()
    }
}

/// `m.room.create`, without what the server decides.
pub(super) fn create_content(
    old: &Old,
    request: &Request,
    version: RoomVersion,
    last_event: &str,
) -> Result<CanonicalJsonObject, MatrixError> {
    let before = old.content("m.room.create")?.unwrap_or_default();
    let mut content = CanonicalJsonObject::new();
    for key in ["type", "m.federate"] {
        if let Some(value) = before.get(key) {
            content.insert(key.to_owned(), value.clone());
        }
    }
    let mut predecessor = CanonicalJsonObject::new();
    predecessor.insert("room_id".to_owned(), text(&old.room.id));
    predecessor.insert("event_id".to_owned(), text(last_event));
    content.insert(
        "predecessor".to_owned(),
        CanonicalJsonValue::Object(predecessor),
    );
    if version.privileges_creators() && !request.additional_creators.is_empty() {
        let creators = request.additional_creators.iter();
        let creators = creators.map(|user| text(user.as_str())).collect();
        content.insert(
            "additional_creators".to_owned(),
            CanonicalJsonValue::Array(creators),
        );
    }
    Ok(content)
}

/// The state that goes over, the power levels last: until they come the creator may do everything.
pub(super) fn first_events(
    old: &Old,
    caller: &UserId,
    version: RoomVersion,
    (aliases, creators): (&[String], &[ruma::OwnedUserId]),
) -> Result<Vec<StateContent>, MatrixError> {
    let mut events = Vec::new();
    for event_type in Old::COPIED {
        if let Some(content) = old.content(event_type)? {
            events.push(event(event_type, &content)?);
        }
    }
    if let Some(content) = old.content("m.room.canonical_alias")? {
        let content = moved_aliases(content, aliases);
        if !content.is_empty() {
            events.push(event("m.room.canonical_alias", &content)?);
        }
    }
    if let Some(levels) = old.content("m.room.power_levels")? {
        let is_creator = |user: &str| {
            version.privileges_creators()
                && (user == caller.as_str() || creators.iter().any(|creator| creator == user))
        };
        let mut levels = integers(levels);
        if let Some(CanonicalJsonValue::Object(users)) = levels.get_mut("users") {
            users.retain(|user, _| !is_creator(user) && UserId::parse(user).is_ok());
        }
        if old.room.version.privileges_creators() && !version.privileges_creators() {
            add_creator(old, caller, &mut levels)?;
        }
        events.push(event("m.room.power_levels", &levels)?);
    }
    Ok(events)
}

/// Who was above all numbers as a creator gets the greatest there is.
fn add_creator(
    old: &Old,
    caller: &UserId,
    levels: &mut CanonicalJsonObject,
) -> Result<(), MatrixError> {
    let create = old.content("m.room.create")?.unwrap_or_default();
    let sender = old.state.get("m.room.create").map(|e| e.sender.as_str());
    let is_named = match create.get("additional_creators") {
        Some(CanonicalJsonValue::Array(users)) => users
            .iter()
            .any(|user| user.as_str() == Some(caller.as_str())),
        _ => false,
    };
    if sender != Some(caller.as_str()) && !is_named {
        return Ok(());
    }
    let mut most = CREATOR_LEVEL;
    for value in levels.values() {
        match value {
            CanonicalJsonValue::Integer(level) => most = most.max(i64::from(*level)),
            CanonicalJsonValue::Object(table) => {
                for level in table.values().filter_map(CanonicalJsonValue::as_integer) {
                    most = most.max(i64::from(level));
                }
            }
            _ => {}
        }
    }
    let level = CanonicalJsonValue::Integer(Int::new_saturating(most));
    let users = levels
        .entry("users".to_owned())
        .or_insert_with(|| CanonicalJsonValue::Object(CanonicalJsonObject::new()));
    if let CanonicalJsonValue::Object(users) = users {
        users.insert(caller.to_string(), level);
    }
    Ok(())
}

/// Power levels as every room version takes them: since version 10 levels are integers, before they
/// may be written in strings. What is no level is left out and has its default.
fn integers(levels: CanonicalJsonObject) -> CanonicalJsonObject {
    let is_table = |key: &str| matches!(key, "events" | "notifications" | "users");
    let entry = |(key, value): (String, CanonicalJsonValue)| {
        let value = match value {
            CanonicalJsonValue::Object(table) if is_table(&key) => {
                let table = table.into_iter();
                let levels = table.filter_map(|(name, value)| Some((name, integer(value)?)));
                CanonicalJsonValue::Object(levels.collect())
            }
            value if !is_table(&key) => integer(value)?,
            _ => return None,
        };
        Some((key, value))
    };
    levels.into_iter().filter_map(entry).collect()
}

fn integer(value: CanonicalJsonValue) -> Option<CanonicalJsonValue> {
    match value {
        CanonicalJsonValue::Integer(_) => Some(value),
        CanonicalJsonValue::String(text) => {
            let level: i64 = text.trim().parse().ok()?;
            Int::new(level).map(CanonicalJsonValue::Integer)
        }
        _ => None,
    }
}

/// Of the canonical aliases those that go over to the new room.
fn moved_aliases(content: CanonicalJsonObject, aliases: &[String]) -> CanonicalJsonObject {
    let moves = |value: &CanonicalJsonValue| {
        let alias = value.as_str();
        alias.is_some_and(|alias| aliases.iter().any(|moved| moved == alias))
    };
    let mut moved = CanonicalJsonObject::new();
    if let Some(alias) = content.get("alias").filter(|alias| moves(alias)) {
        moved.insert("alias".to_owned(), alias.clone());
    }
    if let Some(CanonicalJsonValue::Array(alternatives)) = content.get("alt_aliases") {
        let alternatives: Vec<_> = alternatives.iter().filter(|a| moves(a)).cloned().collect();
        if !alternatives.is_empty() {
            let alternatives = CanonicalJsonValue::Array(alternatives);
            moved.insert("alt_aliases".to_owned(), alternatives);
        }
    }
    moved
}

/// A ban's content in the new room: it, and why.
pub(super) fn ban_content(before: &[u8]) -> CanonicalJsonObject {
    let before = parse_object(before).unwrap_or_default();
    let mut content = CanonicalJsonObject::new();
    content.insert("membership".to_owned(), text("ban"));
    if let Some(reason) = before.get("reason").filter(|r| r.as_str().is_some()) {
        content.insert("reason".to_owned(), reason.clone());
    }
    content
}

pub(super) fn tombstone_content(new_room: &RoomId) -> CanonicalJsonObject {
    let mut content = CanonicalJsonObject::new();
    content.insert("body".to_owned(), text("This room has been replaced"));
    content.insert("replacement_room".to_owned(), text(new_room.as_str()));
    content
}

fn event(event_type: &str, content: &CanonicalJsonObject) -> Result<StateContent, MatrixError> {
    Ok(StateContent {
        r#type: event_type.to_owned(),
        state_key: String::new(),
        content: canonical(content)?,
    })
}

fn text(value: &str) -> CanonicalJsonValue {
    CanonicalJsonValue::String(value.to_owned())
}

#[cfg(test)]
mod tests;
