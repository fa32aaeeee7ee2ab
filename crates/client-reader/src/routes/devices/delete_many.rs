//! `POST /_matrix/client/v3/delete_devices`

use axum::extract::State;
use ganglion_accounts::uia::Attempt;
use ganglion_http_kit::{ApiError, JsonBytes, RawRequest};
use ganglion_model::MatrixError;
use serde::Deserialize;

use super::end;
use crate::caller::Caller;
use crate::routes::interactive::by_password;
use crate::state::AppState;

#[derive(Deserialize)]
struct Body {
    devices: Vec<String>,
    auth: Option<Attempt>,
}

/// Ends devices of the caller, those that are there, and their tokens.
pub(crate) async fn post(
    State(app): State<AppState>,
    caller: Caller,
    request: RawRequest,
) -> Result<JsonBytes, ApiError> {
    let body: Body = serde_json::from_slice(&request.body)
        .map_err(|error| MatrixError::bad_json(error.to_string()))?;
    if body.devices.iter().any(|id| id.contains('\0')) {
        return Err(MatrixError::invalid_param("no device id has a NUL").into());
    }
    by_password(&app, &caller, "delete-devices", body.auth).await?;
    end(&app, &caller, body.devices).await?;
    Ok(JsonBytes(b"{}".to_vec()))
}
