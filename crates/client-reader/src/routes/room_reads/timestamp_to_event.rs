//! `GET /_matrix/client/v1/rooms/{roomId}/timestamp_to_event`

use axum::extract::State;
use ganglion_accounts::storage_error;
use ganglion_http_kit::{ApiError, JsonBytes, Ruma};
use ganglion_model::MatrixError;
use ruma::api::client::room::get_event_by_timestamp::v1::Request;
use serde_json::json;

use super::enter;
use crate::caller::Caller;
use crate::state::AppState;

/// The event that is nearest to a time in a direction, of those that the caller may see.
pub(crate) async fn get(
    State(app): State<AppState>,
    caller: Caller,
    Ruma(request): Ruma<Request>,
) -> Result<JsonBytes, ApiError> {
    let mut view = caller.view(&app);
    let entered = enter(&app, &caller, &mut view, &request.room_id).await?;
    let ts = i64::try_from(u64::from(request.ts.get())).unwrap_or(i64::MAX);
    let event = app
        .rooms
        .nearest(&mut view, &entered, caller.user_nid, (ts, request.dir))
        .await
        .map_err(storage_error)?
        .ok_or_else(|| MatrixError::not_found("there is no event in that direction"))?;
    let body = json!({
        "event_id": event.event_id,
        "origin_server_ts": event.origin_server_ts,
    });
    Ok(JsonBytes(body.to_string().into_bytes()))
}
