//! `POST /_matrix/client/v3/users/{userId}/report`

use axum::extract::State;
use ganglion_http_kit::{ApiError, Ruma, RumaBody};
use ganglion_proto::persister::Report;
use ruma::api::client::reporting::report_user::v3::{Request, Response};

use super::keep;
use crate::caller::Caller;
use crate::state::AppState;

/// Reports a user. One that is not known here is reported alike, so that neither the answer nor its
/// time tells which there are.
pub(crate) async fn post(
    State(app): State<AppState>,
    caller: Caller,
    Ruma(request): Ruma<Request>,
) -> Result<RumaBody<Response>, ApiError> {
    let report = Report {
        reported_user: Some(request.user_id.to_string()),
        reason: request.reason,
        ..Report::default()
    };
    keep(&app, &caller, report).await?;
    Ok(RumaBody(Response::new()))
}
