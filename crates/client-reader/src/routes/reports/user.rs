//! `POST /_matrix/client/v3/users/{userId}/report`

use axum::extract::State;
use ganglion_http_kit::{ApiError, JsonBytes, RawRequest};
use ganglion_model::MatrixError;
use ganglion_proto::persister::Report;
use ruma::UserId;

use super::{keep, reason};
use crate::caller::Caller;
use crate::state::AppState;

/// Reports a user. One that is not known here is reported alike, so that neither the answer nor its
/// time tells which there are.
pub(crate) async fn post(
    State(app): State<AppState>,
    caller: Caller,
    request: RawRequest,
) -> Result<JsonBytes, ApiError> {
    let user_id = request.arguments.first().map(String::as_str);
    let user_id = UserId::parse(user_id.unwrap_or_default())
        .map_err(|_invalid| MatrixError::invalid_param("not a user id"))?;
    let report = Report {
        reported_user: Some(user_id.to_string()),
        reason: reason(&request)?,
        ..Report::default()
    };
    keep(&app, &caller, report).await?;
    Ok(JsonBytes(b"{}".to_vec()))
}
