//! `PUT /_matrix/client/v3/rooms/{roomId}/send/{eventType}/{txnId}`

use axum::extract::State;
use ganglion_event_rules::content::is_storable_key;
use ganglion_http_kit::{ApiError, Ruma, RumaBody};
use ganglion_model::{CommandId, MatrixError};
use ganglion_proto::persister::room_command::Command;
use ganglion_proto::persister::{Redact, SendEvent};
use ruma::api::client::message::send_message_event::v3::{Request, Response};
use ruma::{CanonicalJsonObject, CanonicalJsonValue};

use super::{canonical, canonical_body};
use crate::caller::Caller;
use crate::state::AppState;

/// Sends a message event; the same transaction id of the same device sends it once.
pub(crate) async fn put(
    State(app): State<AppState>,
    caller: Caller,
    Ruma(request): Ruma<Request>,
) -> Result<RumaBody<Response>, ApiError> {
    let event_type = request.event_type.to_string();
    let txn_id = request.txn_id.to_string();
    if !is_storable_key(&event_type) || !is_storable_key(&txn_id) {
        return Err(
            MatrixError::invalid_param("the event type or transaction id is too long").into(),
        );
    }
    if let Some(event_id) = caller.done {
        return Ok(RumaBody(Response::new(event_id)));
    }
    let content = request.body.json().get();
    let id = sending_id(&caller, request.room_id.as_str(), &event_type, &txn_id);
    let command = if event_type == "m.room.redaction" {
        redaction(&caller, content, &txn_id)?
    } else if caller.suspended {
        return Err(MatrixError::user_suspended().into());
    } else {
        Command::SendEvent(SendEvent {
            sender: caller.user_id.to_string(),
            r#type: event_type.clone(),
            state_key: None,
            content: canonical_body(content)?,
            device_id: Some(caller.device_id.to_string()),
            txn_id: Some(txn_id.clone()),
        })
    };
    let done = app.commands.room(&request.room_id, id, command).await?;
    app.presence.active(caller.who());
    let event_id = done.event_id.ok_or_else(MatrixError::internal)?;
    Ok(RumaBody(Response::new(event_id)))
}

/// The same for every repetition.
pub(crate) fn sending_id(caller: &Caller, room: &str, event_type: &str, txn_id: &str) -> CommandId {
    let (user, device) = (caller.user_id.as_str(), caller.device_id.as_str());
    CommandId::of(&[user, device, "send", room, event_type, txn_id])
}

/// A redaction sent like any event names its target in the content, whatever the room version
/// (client-server API, "Redactions").
fn redaction(caller: &Caller, content: &str, txn_id: &str) -> Result<Command, MatrixError> {
    let mut content: CanonicalJsonObject =
        ganglion_event_rules::content::parse_object(content.as_bytes())
            .map_err(MatrixError::from)?;
    let Some(CanonicalJsonValue::String(target)) = content.remove("redacts") else {
        return Err(MatrixError::bad_json(
            "a redaction names an event in `redacts`",
        ));
    };
    Ok(Command::Redact(Redact {
        sender: caller.user_id.to_string(),
        event_id: target,
        content: canonical(&content)?,
        device_id: Some(caller.device_id.to_string()),
        txn_id: Some(txn_id.to_owned()),
        own_only: caller.suspended,
    }))
}
