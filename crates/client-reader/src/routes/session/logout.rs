//! `POST /_matrix/client/v3/logout`

use axum::extract::State;
use ganglion_http_kit::{ApiError, Ruma, RumaBody};
use ganglion_model::CommandId;
use ganglion_proto::persister::Logout;
use ganglion_proto::persister::user_command::Command;
use ruma::api::client::session::logout::v3::{Request, Response};

use crate::caller::LeavingCaller;
use crate::state::AppState;

/// Ends the caller's device and its tokens.
pub(crate) async fn post(
    State(app): State<AppState>,
    LeavingCaller(caller): LeavingCaller,
    Ruma(_request): Ruma<Request>,
) -> Result<RumaBody<Response>, ApiError> {
    let command = Command::Logout(Logout {
        device_id: Some(caller.device_id.to_string()),
    });
    app.commands
        .user(&caller.user_id, CommandId::random(), command)
        .await?;
    Ok(RumaBody(Response::new()))
}
