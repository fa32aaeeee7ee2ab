//! `PUT /_matrix/client/v3/devices/{deviceId}`

use axum::extract::State;
use ganglion_http_kit::{ApiError, Ruma, RumaBody};
use ganglion_model::CommandId;
use ganglion_proto::persister::UpdateDevice;
use ganglion_proto::persister::user_command::Command;
use ruma::api::client::device::update_device::v3::{Request, Response};

use crate::caller::Caller;
use crate::state::AppState;

/// Names a device of the caller. Only application services may make one so.
pub(crate) async fn put(
    State(app): State<AppState>,
    caller: Caller,
    Ruma(request): Ruma<Request>,
) -> Result<RumaBody<Response>, ApiError> {
    let command = Command::UpdateDevice(UpdateDevice {
        device_id: request.device_id.to_string(),
        display_name: request.display_name,
    });
    app.commands
        .user(&caller.user_id, CommandId::random(), command)
        .await?;
    Ok(RumaBody(Response::new()))
}
