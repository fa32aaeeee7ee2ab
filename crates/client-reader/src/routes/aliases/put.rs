//! `PUT /_matrix/client/v3/directory/room/{roomAlias}`

use axum::extract::State;
use ganglion_http_kit::{ApiError, Ruma, RumaBody};
use ganglion_model::{CommandId, MatrixError};
use ganglion_proto::persister::SetAlias;
use ganglion_proto::persister::room_command::Command;
use ruma::api::client::alias::create_alias::v3::{Request, Response};

use crate::caller::Caller;
use crate::state::AppState;

/// Gives a room that the caller is in an alias of this server.
pub(crate) async fn put(
    State(app): State<AppState>,
    caller: Caller,
    Ruma(request): Ruma<Request>,
) -> Result<RumaBody<Response>, ApiError> {
    let name = request.room_alias.alias();
    if name.is_empty() || name.contains(char::is_whitespace) {
        return Err(MatrixError::invalid_param("not the local part of an alias").into());
    }
    let command = SetAlias {
        alias: request.room_alias.to_string(),
        creator: caller.user_id.to_string(),
    };
    let command = Command::SetAlias(command);
    app.commands
        .room(&request.room_id, CommandId::random(), command)
        .await?;
    Ok(RumaBody(Response::new()))
}
