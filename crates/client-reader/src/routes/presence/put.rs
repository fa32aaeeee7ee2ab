//! `PUT /_matrix/client/v3/presence/{userId}/status`

use axum::extract::State;
use ganglion_http_kit::{ApiError, Ruma, RumaBody};
use ganglion_model::MatrixError;
use ruma::api::client::presence::set_presence::v3::{Request, Response};

use crate::caller::Caller;
use crate::state::AppState;

/// The longest status message, in bytes: everybody who shares a room gets it.
const MAX_STATUS_BYTES: usize = 1_024;

/// Sets the caller's presence on this device, and the status message: none if there is none. Answered
/// when the status message is committed. Where presence is switched off, nothing comes of it.
pub(crate) async fn put(
    State(app): State<AppState>,
    caller: Caller,
    Ruma(request): Ruma<Request>,
) -> Result<RumaBody<Response>, ApiError> {
    caller.must_be(&request.user_id)?;
    let state = super::state(&request.presence)?;
    let status = request.status_msg.filter(|status| !status.is_empty());
    if let Some(status) = &status
        && (status.len() > MAX_STATUS_BYTES || status.contains('\0'))
    {
        let message = format!("a status message has at most {MAX_STATUS_BYTES} bytes and no NUL");
        return Err(MatrixError::invalid_param(message).into());
    }
    app.presence.set(caller.who(), state, status).await?;
    Ok(RumaBody(Response::new()))
}
