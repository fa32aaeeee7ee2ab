//! `DELETE /_matrix/client/v3/devices/{deviceId}`

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
    auth: Option<Attempt>,
}

/// Ends one device of the caller, if it is there, and its tokens.
pub(crate) async fn delete(
    State(app): State<AppState>,
    caller: Caller,
    request: RawRequest,
) -> Result<JsonBytes, ApiError> {
    let body: Body = serde_json::from_slice(&request.body)
        .map_err(|error| MatrixError::bad_json(error.to_string()))?;
    let [device_id] = request.arguments.as_slice() else {
        return Err(MatrixError::internal().into());
    };
    let purpose = format!("delete-device/{device_id}");
    by_password(&app, &caller, &purpose, body.auth).await?;
    end(&app, &caller, vec![device_id.clone()]).await?;
    Ok(JsonBytes(b"{}".to_vec()))
}
