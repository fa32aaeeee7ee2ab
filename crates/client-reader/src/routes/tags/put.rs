//! `PUT /_matrix/client/v3/user/{userId}/rooms/{roomId}/tags/{tag}`

use std::collections::BTreeMap;

use axum::extract::State;
use ganglion_http_kit::{ApiError, JsonBytes, RawRequest};
use ganglion_model::{CommandId, MatrixError};
use ganglion_proto::persister::SetTag;
use ganglion_proto::persister::user_command::Command;
use ruma::{RoomId, UserId};
use serde_json::value::RawValue;

use crate::caller::Caller;
use crate::state::AppState;

/// Puts a tag on a room, or changes its content. The name's length is checked where it is written.
pub(crate) async fn put(
    State(app): State<AppState>,
    caller: Caller,
    request: RawRequest,
) -> Result<JsonBytes, ApiError> {
    let [user, room, tag] = request.arguments.as_slice() else {
        return Err(MatrixError::internal().into());
    };
    let user = UserId::parse(user).map_err(|_no| MatrixError::invalid_param("not a user id"))?;
    caller.must_be(&user)?;
    let room = RoomId::parse(room).map_err(|_no| MatrixError::invalid_param("not a room id"))?;
    check(&request.body)?;
    let command = Command::SetTag(SetTag {
        room_id: room.to_string(),
        tag: tag.clone(),
        // Numbers and order stay as the client wrote them.
        content: Some(request.body.trim_ascii().to_vec().into()),
    });
    app.commands
        .user(&caller.user_id, CommandId::random(), command)
        .await?;
    Ok(JsonBytes(b"{}".to_vec()))
}

/// An object whose `order`, if it has one, is a number of [0, 1].
fn check(body: &[u8]) -> Result<(), MatrixError> {
    let content = serde_json::from_slice::<BTreeMap<String, &RawValue>>(body)
        .map_err(|error| MatrixError::bad_json(format!("not a JSON object: {error}")))?;
    let Some(order) = content.get("order") else {
        return Ok(());
    };
    let order: f64 = serde_json::from_str(order.get())
        .map_err(|_other| MatrixError::bad_json("`order` is a number"))?;
    match (0.0..=1.0).contains(&order) {
        true => Ok(()),
        false => Err(MatrixError::invalid_param("`order` lies between 0 and 1")),
    }
}
