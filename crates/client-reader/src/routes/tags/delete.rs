//! `DELETE /_matrix/client/v3/user/{userId}/rooms/{roomId}/tags/{tag}`

use axum::extract::State;
use ganglion_http_kit::{ApiError, JsonBytes, Ruma};
use ganglion_model::CommandId;
use ganglion_proto::persister::SetTag;
use ganglion_proto::persister::user_command::Command;
use ruma::api::client::tag::delete_tag::v3::Request;

use crate::caller::Caller;
use crate::state::AppState;

/// Takes a tag from a room; one that is not there is gone already.
pub(crate) async fn delete(
    State(app): State<AppState>,
    caller: Caller,
    Ruma(request): Ruma<Request>,
) -> Result<JsonBytes, ApiError> {
    caller.must_be(&request.user_id)?;
    let command = Command::SetTag(SetTag {
        room_id: request.room_id.to_string(),
        tag: request.tag,
        content: None,
    });
    app.commands
        .user(&caller.user_id, CommandId::random(), command)
        .await?;
    Ok(JsonBytes(b"{}".to_vec()))
}
