//! `PUT /_matrix/client/v3/rooms/{roomId}/state/{eventType}/{stateKey}`, also without state key.

use axum::extract::State;
use ganglion_accounts::storage_error;
use ganglion_event_rules::content::{is_storable_key, parse_object};
use ganglion_http_kit::{ApiError, Ruma, RumaBody};
use ganglion_model::{CommandId, MatrixError};
use ganglion_proto::persister::SendEvent;
use ganglion_proto::persister::room_command::Command;
use ruma::api::client::state::send_state_event::v3::{Request, Response};
use ruma::{CanonicalJsonObject, CanonicalJsonValue, RoomAliasId, RoomId};

use super::canonical;
use crate::caller::Caller;
use crate::limits::by_membership;
use crate::state::AppState;

/// Sets a piece of the room's state. The same content again finds the event that is there.
pub(crate) async fn put(
    State(app): State<AppState>,
    caller: Caller,
    Ruma(request): Ruma<Request>,
) -> Result<RumaBody<Response>, ApiError> {
    let event_type = request.event_type.to_string();
    if !is_storable_key(&event_type) || !is_storable_key(&request.state_key) {
        return Err(MatrixError::invalid_param("the event type or state key is too long").into());
    }
    let content = parse_object(request.body.json().get().as_bytes()).map_err(MatrixError::from)?;
    match event_type.as_str() {
        "m.room.canonical_alias" => {
            check_aliases(&app, &caller, &request.room_id, &content).await?;
        }
        "m.room.member" => check_member(&app, &request.state_key, &content)?,
        _ => {}
    }
    let content = canonical(&content)?;
    if event_type == "m.room.member" {
        by_membership(&app, &caller, Some(&request.room_id), [content.as_ref()])?;
    }
    let command = SendEvent {
        sender: caller.user_id.to_string(),
        r#type: event_type,
        state_key: Some(request.state_key),
        content,
        device_id: None,
        txn_id: None,
    };
    let done = app
        .commands
        .room(
            &request.room_id,
            CommandId::random(),
            Command::SendEvent(command),
        )
        .await?;
    let event_id = done.event_id.ok_or_else(MatrixError::internal)?;
    Ok(RumaBody(Response::new(event_id)))
}

fn check_member(
    app: &AppState,
    state_key: &str,
    content: &CanonicalJsonObject,
) -> Result<(), MatrixError> {
    let Ok(user) = ruma::UserId::parse(state_key) else {
        return Err(MatrixError::bad_json(
            "the state key of a member event is a user id",
        ));
    };
    match content.get("membership") {
        Some(CanonicalJsonValue::String(membership)) if membership == "invite" => {
            super::must_be_local(app, &user)
        }
        _ => Ok(()),
    }
}

/// Every alias that the event newly names must lead to this room (client-server API,
/// `PUT /rooms/{roomId}/state/{eventType}/{stateKey}`, M_BAD_ALIAS).
async fn check_aliases(
    app: &AppState,
    caller: &Caller,
    room_id: &RoomId,
    content: &CanonicalJsonObject,
) -> Result<(), MatrixError> {
    let named = match content.get("alias") {
        None | Some(CanonicalJsonValue::Null) => None,
        Some(CanonicalJsonValue::String(alias)) if alias.is_empty() => None,
        Some(CanonicalJsonValue::String(alias)) => Some(alias),
        Some(_) => return Err(MatrixError::bad_json("`alias` is no string")),
    };
    let mut aliases: Vec<&String> = named.into_iter().collect();
    match content.get("alt_aliases") {
        None => {}
        Some(CanonicalJsonValue::Array(alternatives)) => {
            for alternative in alternatives {
                let CanonicalJsonValue::String(alias) = alternative else {
                    return Err(MatrixError::bad_json("`alt_aliases` holds no string"));
                };
                aliases.push(alias);
            }
        }
        Some(_) => return Err(MatrixError::bad_json("`alt_aliases` is no list")),
    }
    let mut view = caller.view(app);
    let known = app
        .rooms
        .canonical_aliases(&mut view, room_id)
        .await
        .map_err(storage_error)?;
    for alias in aliases {
        let parsed = RoomAliasId::parse(alias)
            .map_err(|_invalid| MatrixError::invalid_param("not a room alias"))?;
        if known.contains(alias) {
            continue;
        }
        let target = app
            .rooms
            .alias(&mut view, &parsed)
            .await
            .map_err(storage_error)?;
        if target.as_deref() != Some(room_id) {
            let message = format!("{alias} does not lead to this room");
            return Err(MatrixError::new(400, "M_BAD_ALIAS", message));
        }
    }
    Ok(())
}
