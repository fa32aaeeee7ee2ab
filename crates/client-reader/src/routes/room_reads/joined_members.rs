//! `GET /_matrix/client/v3/rooms/{roomId}/joined_members`

use axum::extract::State;
use ganglion_accounts::storage_error;
use ganglion_http_kit::{ApiError, JsonBytes, Ruma};
use ganglion_model::{MatrixError, Membership, Position};
use ganglion_storage::state::Wanted;
use ruma::api::client::membership::joined_members::v3::Request;
use serde_json::{Map, Value, json};

use super::enter;
use super::state::state_at;
use crate::caller::Caller;
use crate::state::AppState;

/// Who is joined, with name and picture. Only for who is joined.
pub(crate) async fn get(
    State(app): State<AppState>,
    caller: Caller,
    Ruma(request): Ruma<Request>,
) -> Result<JsonBytes, ApiError> {
    let mut view = caller.view(&app);
    let entered = enter(&app, &caller, &mut view, &request.room_id).await?;
    if !entered.is_joined() {
        return Err(MatrixError::forbidden("you are not joined to this room").into());
    }
    let members = state_at(&app, &mut view, &entered, Position::MAX, Wanted::Members)
        .await
        .map_err(storage_error)?;
    let mut joined = Map::new();
    for event in members
        .iter()
        .filter(|event| event.membership == Some(Membership::Join))
    {
        let content: Value = serde_json::from_slice(&event.content).unwrap_or_default();
        let mut member = Map::new();
        for (name, key) in [
            ("display_name", "displayname"),
            ("avatar_url", "avatar_url"),
        ] {
            if let Some(text) = content.get(key).and_then(Value::as_str) {
                member.insert(name.to_owned(), Value::from(text));
            }
        }
        let user = event.state_key.clone().unwrap_or_default();
        joined.insert(user, Value::Object(member));
    }
    Ok(JsonBytes(
        json!({"joined": joined}).to_string().into_bytes(),
    ))
}
