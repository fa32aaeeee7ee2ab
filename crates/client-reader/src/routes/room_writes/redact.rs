//! `PUT /_matrix/client/v3/rooms/{roomId}/redact/{eventId}/{txnId}`

use axum::extract::State;
use ganglion_event_rules::content::is_storable_key;
use ganglion_http_kit::{ApiError, Ruma, RumaBody};
use ganglion_model::{CommandId, MatrixError};
use ganglion_proto::persister::Redact;
use ganglion_proto::persister::room_command::Command;
use ruma::CanonicalJsonObject;
use ruma::api::client::redact::redact_event::v3::{Request, Response};

use super::{canonical, with_reason};
use crate::caller::Caller;
use crate::state::AppState;

/// Redacts an event; the same transaction id of the same device does it once.
pub(crate) async fn put(
    State(app): State<AppState>,
    caller: Caller,
    Ruma(request): Ruma<Request>,
) -> Result<RumaBody<Response>, ApiError> {
    let txn_id = request.txn_id.to_string();
    if !is_storable_key(&txn_id) {
        return Err(MatrixError::invalid_param("the transaction id is too long").into());
    }
    if let Some(event_id) = caller.done {
        return Ok(RumaBody(Response::new(event_id)));
    }
    let (room, target) = (request.room_id.as_str(), request.event_id.as_str());
    let id = redaction_id(&caller, room, target, &txn_id);
    let command = Redact {
        sender: caller.user_id.to_string(),
        event_id: request.event_id.to_string(),
        content: canonical(&with_reason(CanonicalJsonObject::new(), request.reason))?,
        device_id: Some(caller.device_id.to_string()),
        txn_id: Some(txn_id.clone()),
        own_only: caller.suspended,
    };
    let done = app
        .commands
        .room(&request.room_id, id, Command::Redact(command))
        .await?;
    let event_id = done.event_id.ok_or_else(MatrixError::internal)?;
    Ok(RumaBody(Response::new(event_id)))
}

/// The same for every repetition.
pub(crate) fn redaction_id(caller: &Caller, room: &str, event: &str, txn_id: &str) -> CommandId {
    let (user, device) = (caller.user_id.as_str(), caller.device_id.as_str());
    CommandId::of(&[user, device, "redact", room, event, txn_id])
}
