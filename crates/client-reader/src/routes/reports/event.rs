//! `POST /_matrix/client/v3/rooms/{roomId}/report/{eventId}`

use axum::extract::State;
use ganglion_accounts::storage_error;
use ganglion_http_kit::{ApiError, Ruma, RumaBody};
use ganglion_model::MatrixError;
use ganglion_proto::persister::Report;
use ganglion_rooms::Access;
use ruma::api::client::room::report_content::v3::{Request, Response};

use super::keep;
use crate::caller::Caller;
use crate::routes::visible_event;
use crate::state::AppState;

/// Reports an event of a room that the caller is in. `score`, which was removed from the
/// specification, is not looked at.
pub(crate) async fn post(
    State(app): State<AppState>,
    caller: Caller,
    Ruma(request): Ruma<Request>,
) -> Result<RumaBody<Response>, ApiError> {
    let mut view = caller.view(&app);
    let room_id = request.room_id.as_str();
    let viewer = caller.viewer(&app);
    let entered = app.rooms.enter(&mut view, room_id, viewer).await;
    // One answer for what is not there, what is hidden and what is elsewhere.
    let none = || MatrixError::not_found("there is no such event, or you are not in its room");
    let entered = entered
        .map_err(storage_error)?
        .filter(|entered| entered.access == Access::Joined)
        .ok_or_else(none)?;
    let event = visible_event(&caller, &mut view, &entered, &request.event_id).await;
    event.map_err(|error| if error.status == 404 { none() } else { error })?;
    drop(view);
    let report = Report {
        room_id: Some(request.room_id.to_string()),
        event_id: Some(request.event_id.to_string()),
        reason: request.reason.unwrap_or_default(),
        ..Report::default()
    };
    keep(&app, &caller, report).await?;
    Ok(RumaBody(Response::new()))
}
