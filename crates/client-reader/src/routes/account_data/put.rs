//! `PUT /_matrix/client/v3/user/{userId}/account_data/{type}` and
//! `PUT /_matrix/client/v3/user/{userId}/rooms/{roomId}/account_data/{type}`

use std::collections::BTreeMap;

use axum::extract::State;
use ganglion_http_kit::{ApiError, JsonBytes, RawRequest};
use ganglion_model::{CommandId, MatrixError};
use ganglion_proto::persister::SetAccountData;
use ganglion_proto::persister::user_command::Command;
use serde::de::IgnoredAny;

use crate::caller::Caller;
use crate::state::AppState;

/// Types that have endpoints of their own.
const OF_THE_SERVER: [&str; 2] = ["m.fully_read", "m.push_rules"];

/// Sets one piece of the caller's account data.
pub(crate) async fn put(
    State(app): State<AppState>,
    caller: Caller,
    request: RawRequest,
) -> Result<JsonBytes, ApiError> {
    let (room, data_type) = super::place(&caller, &request.arguments)?;
    if OF_THE_SERVER.contains(&data_type) {
        let message = format!("{data_type} cannot be set here");
        return Err(MatrixError::new(405, "M_BAD_JSON", message).into());
    }
    // Only looked at: numbers and order stay as the client wrote them.
    serde_json::from_slice::<BTreeMap<String, IgnoredAny>>(&request.body)
        .map_err(|error| MatrixError::bad_json(format!("not a JSON object: {error}")))?;
    let command = Command::SetAccountData(SetAccountData {
        room_id: room.map(|room| room.to_string()),
        r#type: data_type.to_owned(),
        content: request.body.trim_ascii().to_vec().into(),
    });
    app.commands
        .user(&caller.user_id, CommandId::random(), command)
        .await?;
    Ok(JsonBytes(b"{}".to_vec()))
}
