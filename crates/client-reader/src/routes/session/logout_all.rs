//! `POST /_matrix/client/v3/logout/all`

use axum::extract::State;
use ganglion_http_kit::{ApiError, Ruma, RumaBody};
use ganglion_model::CommandId;
use ganglion_proto::persister::Logout;
use ganglion_proto::persister::user_command::Command;
use ruma::api::client::session::logout_all::v3::{Request, Response};

use crate::caller::LeavingCaller;
use crate::state::AppState;

/// Ends all of the caller's devices and tokens.
pub(crate) async fn post(
    State(app): State<AppState>,
    LeavingCaller(caller): LeavingCaller,
    Ruma(_request): Ruma<Request>,
) -> Result<RumaBody<Response>, ApiError> {
    let command = Command::Logout(Logout { device_id: None });
    app.commands
        .user(&caller.user_id, CommandId::random(), command)
        .await?;
    Ok(RumaBody(Response::new()))
}
