//! `GET /_matrix/client/v3/events/{eventId}` (deprecated)

use axum::extract::State;
use ganglion_accounts::storage_error;
use ganglion_http_kit::{ApiError, JsonBytes, RawRequest};
use ganglion_model::MatrixError;
use ganglion_storage::timeline;
use ruma::EventId;

use super::{event, no_event};
use crate::caller::Caller;
use crate::state::AppState;

/// One event of whatever room, if the caller may see it.
pub(crate) async fn get(
    State(app): State<AppState>,
    caller: Caller,
    request: RawRequest,
) -> Result<JsonBytes, ApiError> {
    let event_id = request.arguments.first().map_or("", String::as_str);
    let event_id = EventId::parse(event_id)
        .map_err(|_no| MatrixError::invalid_param("`eventId` is no event id"))?;
    let mut view = caller.view(&app);
    let snapshot = view.snapshot().await.map_err(storage_error)?;
    let room = timeline::room_of(snapshot, event_id.as_str())
        .await
        .map_err(storage_error)?
        .ok_or_else(no_event)?;
    event::answer(&app, &caller, view, (&room, &event_id)).await
}
