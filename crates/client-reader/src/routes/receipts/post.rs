//! `POST /_matrix/client/v3/rooms/{roomId}/receipt/{receiptType}/{eventId}`

use axum::extract::State;
use ganglion_http_kit::{ApiError, JsonBytes, RawRequest};
use ganglion_model::MatrixError;
use ganglion_storage::receipts::ReceiptKind;
use ruma::{EventId, RoomId};
use serde_json::{Map, Value};

use super::{Marks, mark};
use crate::caller::Caller;
use crate::state::AppState;

/// Moves one receipt, or the fully read marker, to an event.
pub(crate) async fn post(
    State(app): State<AppState>,
    caller: Caller,
    request: RawRequest,
) -> Result<JsonBytes, ApiError> {
    let [room_id, receipt_type, event_id] = request.arguments.as_slice() else {
        return Err(MatrixError::internal().into());
    };
    let room_id =
        RoomId::parse(room_id).map_err(|_invalid| MatrixError::invalid_param("not a room id"))?;
    let event_id = EventId::parse(event_id)
        .map_err(|_invalid| MatrixError::invalid_param("not an event id"))?;
    let thread_id = thread_id(&request.body)?;
    let mut marks = Marks::default();
    match receipt_type.as_str() {
        "m.read" => marks
            .receipts
            .push((ReceiptKind::Read, event_id, thread_id)),
        "m.read.private" => marks
            .receipts
            .push((ReceiptKind::Private, event_id, thread_id)),
        "m.fully_read" if thread_id.is_some() => {
            let message = "thread_id is not for m.fully_read";
            return Err(MatrixError::invalid_param(message).into());
        }
        "m.fully_read" => marks.fully_read = Some(event_id),
        _ => {
            let message = "the type is none of m.read, m.read.private, m.fully_read";
            return Err(MatrixError::invalid_param(message).into());
        }
    }
    mark(&app, &caller, &room_id, marks).await?;
    Ok(JsonBytes(b"{}".to_vec()))
}

/// The body's `thread_id`; `None` for an unthreaded receipt.
fn thread_id(body: &[u8]) -> Result<Option<String>, MatrixError> {
    let mut body: Map<String, Value> = serde_json::from_slice(body)
        .map_err(|error| MatrixError::bad_json(format!("not a JSON object: {error}")))?;
    match body.remove("thread_id") {
        None => Ok(None),
        Some(Value::String(thread_id)) if !thread_id.is_empty() => Ok(Some(thread_id)),
        Some(_) => Err(MatrixError::invalid_param(
            "thread_id field must be a non-empty string",
        )),
    }
}
