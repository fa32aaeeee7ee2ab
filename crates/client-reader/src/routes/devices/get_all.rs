//! `GET /_matrix/client/v3/devices`

use axum::extract::State;
use ganglion_http_kit::{ApiError, JsonBytes};
use serde_json::{Value, json};

use super::as_json;
use crate::caller::Caller;
use crate::state::AppState;

/// All devices of the caller.
pub(crate) async fn get(
    State(app): State<AppState>,
    caller: Caller,
) -> Result<JsonBytes, ApiError> {
    let devices = app
        .accounts
        .devices(&caller.barrier, caller.user_nid)
        .await?;
    let devices: Vec<Value> = devices.into_iter().map(as_json).collect();
    let body = json!({"devices": devices});
    Ok(JsonBytes(body.to_string().into_bytes()))
}
