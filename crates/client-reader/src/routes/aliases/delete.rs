//! `DELETE /_matrix/client/v3/directory/room/{roomAlias}`

use axum::extract::State;
use ganglion_http_kit::{ApiError, Ruma, RumaBody};
use ganglion_model::CommandId;
use ganglion_proto::persister::DeleteAlias;
use ganglion_proto::persister::room_command::Command;
use ruma::api::client::alias::delete_alias::v3::{Request, Response};

use crate::caller::Caller;
use crate::state::AppState;

/// Takes an alias away: its creator may, and who may set the room's canonical alias, from which it
/// is taken, too, if the caller may do that.
pub(crate) async fn delete(
    State(app): State<AppState>,
    caller: Caller,
    Ruma(request): Ruma<Request>,
) -> Result<RumaBody<Response>, ApiError> {
    let mut view = caller.view(&app);
    let room_id = super::room_of(&app, &mut view, &request.room_alias).await?;
    drop(view);
    let command = DeleteAlias {
        alias: request.room_alias.to_string(),
        sender: caller.user_id.to_string(),
    };
    let command = Command::DeleteAlias(command);
    app.commands
        .room(&room_id, CommandId::random(), command)
        .await?;
    Ok(RumaBody(Response::new()))
}
