//! The contents of a new room's first events.

use ganglion_event_rules::{RoomVersion, content::is_storable_key};
use ganglion_model::MatrixError;
use ganglion_proto::persister::StateContent;
use ruma::api::client::room::create_room::v3::{Request, RoomPreset};
use ruma::{CanonicalJsonObject, CanonicalJsonValue, Int, OwnedUserId, RoomAliasId, UserId};
use serde::Deserialize;

use super::raw_object;
use crate::caller::Caller;
use crate::state::AppState;

/// The power of a room's creator, where it is a number (room versions below 12).
const CREATOR_LEVEL: i64 = 100;

/// `m.room.create`, without what the server decides.
pub(super) fn creation_content(
    request: &Request,
    preset: &RoomPreset,
    version: RoomVersion,
) -> Result<CanonicalJsonObject, MatrixError> {
    let mut content = match &request.creation_content {
        Some(raw) => raw_object(raw)?,
        None => CanonicalJsonObject::new(),
    };
    if version.privileges_creators() && *preset == RoomPreset::TrustedPrivateChat {
        let mut creators = match content.remove("additional_creators") {
            Some(CanonicalJsonValue::Array(creators)) => creators,
            None => Vec::new(),
            Some(_) => return Err(MatrixError::bad_json("additional_creators is no list")),
        };
        for invitee in &request.invite {
            let invitee = text(invitee.as_str());
            if !creators.contains(&invitee) {
                creators.push(invitee);
            }
        }
        if !creators.is_empty() {
            content.insert(
                "additional_creators".to_owned(),
                CanonicalJsonValue::Array(creators),
            );
        }
    }
    Ok(content)
}

/// `m.room.power_levels`: the server's default with the request's override on top.
pub(super) fn power_levels(
    caller: &Caller,
    request: &Request,
    preset: &RoomPreset,
    version: RoomVersion,
) -> Result<CanonicalJsonObject, MatrixError> {
    let tombstone = if version.privileges_creators() {
        150
    } else {
        100
    };
    let events = levels([
        ("m.room.avatar", 50),
        ("m.room.canonical_alias", 50),
        ("m.room.encryption", 100),
        ("m.room.history_visibility", 100),
        ("m.room.name", 50),
        ("m.room.power_levels", 100),
        ("m.room.server_acl", 100),
        ("m.room.tombstone", tombstone),
    ]);
    let mut users = CanonicalJsonObject::new();
    if !version.privileges_creators() {
        users.insert(caller.user_id.to_string(), number(CREATOR_LEVEL));
        if *preset == RoomPreset::TrustedPrivateChat {
            let invitees = request.invite.iter();
            users.extend(invitees.map(|user| (user.to_string(), number(CREATOR_LEVEL))));
        }
    }
    let mut content = levels([
        ("ban", 50),
        ("events_default", 0),
        ("invite", 0),
        ("kick", 50),
        ("redact", 50),
        ("state_default", 50),
        ("users_default", 0),
    ]);
    content.insert("events".to_owned(), CanonicalJsonValue::Object(events));
    content.insert("users".to_owned(), CanonicalJsonValue::Object(users));
    let notifications = CanonicalJsonValue::Object(levels([("room", 50)]));
    content.insert("notifications".to_owned(), notifications);
    if let Some(raw) = &request.power_level_content_override {
        content.extend(raw_object(raw)?);
    }
    Ok(content)
}

/// What a preset says of the room.
pub(super) fn preset_state(preset: &RoomPreset) -> [(&'static str, CanonicalJsonObject); 3] {
    let (join_rule, guest_access) = match preset {
        RoomPreset::PublicChat => ("public", "forbidden"),
        _ => ("invite", "can_join"),
    };
    [
        (
            "m.room.join_rules",
            object([("join_rule", text(join_rule))]),
        ),
        (
            "m.room.history_visibility",
            object([("history_visibility", text("shared"))]),
        ),
        (
            "m.room.guest_access",
            object([("guest_access", text(guest_access))]),
        ),
    ]
}

/// The request's own state events.
pub(super) fn initial_state(request: &Request) -> Result<Vec<StateContent>, MatrixError> {
    #[derive(Deserialize)]
    struct Event<'a> {
        #[serde(rename = "type")]
        event_type: String,
        #[serde(default)]
        state_key: String,
        #[serde(borrow)]
        content: &'a serde_json::value::RawValue,
    }
    let mut events = Vec::new();
    for raw in &request.initial_state {
        let event: Event<'_> = serde_json::from_str(raw.json().get())
            .map_err(|error| MatrixError::bad_json(format!("initial_state: {error}")))?;
        if !is_storable_key(&event.event_type) || !is_storable_key(&event.state_key) {
            return Err(MatrixError::bad_json(
                "initial_state: a type or state key is too long",
            ));
        }
        let content = ganglion_event_rules::content::parse_object(event.content.get().as_bytes())
            .map_err(MatrixError::from)?;
        events.push(super::state(&event.event_type, &event.state_key, &content)?);
    }
    Ok(events)
}

pub(super) fn alias_content(alias: &RoomAliasId) -> CanonicalJsonObject {
    object([("alias", text(alias.as_str()))])
}

pub(super) fn name_content(name: &str) -> CanonicalJsonObject {
    object([("name", text(name))])
}

/// The topic, also in the form that can hold several representations.
pub(super) fn topic_content(topic: &str) -> CanonicalJsonObject {
    let plain = CanonicalJsonValue::Object(object([("body", text(topic))]));
    let representations = object([("m.text", CanonicalJsonValue::Array(vec![plain]))]);
    object([
        ("topic", text(topic)),
        ("m.topic", CanonicalJsonValue::Object(representations)),
    ])
}

/// The profile part of a user's member event.
pub(super) async fn member_content(
    app: &AppState,
    caller: &Caller,
    user: &UserId,
) -> Result<CanonicalJsonObject, MatrixError> {
    super::super::profile_content(app, caller, user).await
}

pub(super) async fn invite_content(
    app: &AppState,
    caller: &Caller,
    invitee: &OwnedUserId,
    is_direct: bool,
) -> Result<CanonicalJsonObject, MatrixError> {
    let mut content = member_content(app, caller, invitee).await?;
    content.insert("membership".to_owned(), text("invite"));
    if is_direct {
        content.insert("is_direct".to_owned(), CanonicalJsonValue::Bool(true));
    }
    Ok(content)
}

fn object<const N: usize>(entries: [(&str, CanonicalJsonValue); N]) -> CanonicalJsonObject {
    entries
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
}

fn levels<const N: usize>(entries: [(&str, i64); N]) -> CanonicalJsonObject {
    object(entries.map(|(key, level)| (key, number(level))))
}

fn number(value: i64) -> CanonicalJsonValue {
    CanonicalJsonValue::Integer(Int::new_saturating(value))
}

fn text(value: &str) -> CanonicalJsonValue {
    CanonicalJsonValue::String(value.to_owned())
}

#[cfg(test)]
mod tests;
