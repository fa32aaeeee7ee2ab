//! `PUT /_matrix/client/v3/directory/list/room/{roomId}`

use axum::extract::State;
use ganglion_http_kit::{ApiError, JsonBytes, RawRequest};
use ganglion_model::{CommandId, MatrixError};
use ganglion_proto::persister::SetPublished;
use ganglion_proto::persister::room_command::Command;
use ruma::RoomId;
use serde::Deserialize;

use crate::caller::Caller;
use crate::state::AppState;

#[derive(Deserialize)]
struct Body {
    // May be left out, which ruma's type does not know.
    visibility: Option<Visibility>,
}

#[derive(Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Visibility {
    Public,
    Private,
}

/// Lists a room in the public directory or takes it out: who may set the room's canonical alias may.
pub(crate) async fn put(
    State(app): State<AppState>,
    caller: Caller,
    request: RawRequest,
) -> Result<JsonBytes, ApiError> {
    let [room_id] = request.arguments.as_slice() else {
        return Err(MatrixError::internal().into());
    };
    let room_id =
        RoomId::parse(room_id).map_err(|_no| MatrixError::invalid_param("not a room id"))?;
    let body: Body = serde_json::from_slice(&request.body)
        .map_err(|error| MatrixError::bad_json(error.to_string()))?;
    let command = SetPublished {
        sender: caller.user_id.to_string(),
        published: body.visibility != Some(Visibility::Private),
    };
    let command = Command::SetPublished(command);
    app.commands
        .room(&room_id, CommandId::random(), command)
        .await?;
    Ok(JsonBytes(b"{}".to_vec()))
}
