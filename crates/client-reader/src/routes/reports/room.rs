//! `POST /_matrix/client/v3/rooms/{roomId}/report`

use axum::extract::State;
use ganglion_http_kit::{ApiError, JsonBytes, RawRequest};
use ganglion_model::MatrixError;
use ganglion_proto::persister::Report;
use ruma::RoomId;

use super::{keep, reason};
use crate::caller::Caller;
use crate::state::AppState;

/// Reports a room. One that is not known here is reported alike, so that neither the answer nor its
/// time tells which there are.
pub(crate) async fn post(
    State(app): State<AppState>,
    caller: Caller,
    request: RawRequest,
) -> Result<JsonBytes, ApiError> {
    let room_id = request.arguments.first().map(String::as_str);
    let room_id = RoomId::parse(room_id.unwrap_or_default())
        .map_err(|_invalid| MatrixError::invalid_param("not a room id"))?;
    let report = Report {
        room_id: Some(room_id.to_string()),
        reason: reason(&request)?,
        ..Report::default()
    };
    keep(&app, &caller, report).await?;
    Ok(JsonBytes(b"{}".to_vec()))
}
