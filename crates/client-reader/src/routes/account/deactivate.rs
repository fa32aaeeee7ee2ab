//! `POST /_matrix/client/v3/account/deactivate`

use axum::extract::State;
use ganglion_accounts::uia::Attempt;
use ganglion_http_kit::{ApiError, JsonBytes, RawRequest};
use ganglion_model::{CommandId, MatrixError};
use ganglion_proto::persister::Deactivate;
use ganglion_proto::persister::user_command::Command;
use serde::Deserialize;
use serde_json::json;

use crate::caller::Caller;
use crate::routes::interactive::by_password;
use crate::state::AppState;

#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    erase: bool,
    auth: Option<Attempt>,
}

/// Ends the caller's account for good. It leaves its rooms in the time that takes. No third-party
/// identifier is bound to it, so none fails to be unbound.
pub(crate) async fn post(
    State(app): State<AppState>,
    caller: Caller,
    request: RawRequest,
) -> Result<JsonBytes, ApiError> {
    let body: Body = serde_json::from_slice(&request.body)
        .map_err(|error| MatrixError::bad_json(error.to_string()))?;
    by_password(&app, &caller, "deactivate", body.auth).await?;
    let command = Command::Deactivate(Deactivate { erase: body.erase });
    app.commands
        .user(&caller.user_id, CommandId::random(), command)
        .await?;
    let body = json!({"id_server_unbind_result": "success"});
    Ok(JsonBytes(body.to_string().into_bytes()))
}
