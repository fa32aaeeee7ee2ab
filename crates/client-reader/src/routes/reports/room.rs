//! `POST /_matrix/client/v3/rooms/{roomId}/report`

use axum::extract::State;
use ganglion_http_kit::{ApiError, Ruma, RumaBody};
use ganglion_proto::persister::Report;
use ruma::api::client::room::report_room::v3::{Request, Response};

use super::keep;
use crate::caller::Caller;
use crate::state::AppState;

/// Reports a room. One that is not known here is reported alike, so that neither the answer nor its
/// time tells which there are.
pub(crate) async fn post(
    State(app): State<AppState>,
    caller: Caller,
    Ruma(request): Ruma<Request>,
) -> Result<RumaBody<Response>, ApiError> {
    let report = Report {
        room_id: Some(request.room_id.to_string()),
        reason: request.reason,
        ..Report::default()
    };
    keep(&app, &caller, report).await?;
    Ok(RumaBody(Response::new()))
}
