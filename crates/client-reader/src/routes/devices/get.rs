//! `GET /_matrix/client/v3/devices/{deviceId}`

use axum::extract::State;
use ganglion_http_kit::{ApiError, JsonBytes, Ruma};
use ganglion_model::MatrixError;
use ruma::api::client::device::get_device::v3::Request;

use super::as_json;
use crate::caller::Caller;
use crate::state::AppState;

/// One device of the caller.
pub(crate) async fn get(
    State(app): State<AppState>,
    caller: Caller,
    Ruma(request): Ruma<Request>,
) -> Result<JsonBytes, ApiError> {
    let devices = app
        .accounts
        .devices(&caller.barrier, caller.user_nid)
        .await?;
    let mut devices = devices.into_iter();
    let device = devices
        .find(|device| request.device_id == device.device_id)
        .ok_or_else(|| MatrixError::not_found("there is no such device"))?;
    Ok(JsonBytes(as_json(device).to_string().into_bytes()))
}
