//! `POST /_matrix/client/v3/account/password`

use axum::extract::State;
use ganglion_accounts::passwords::check_strength;
use ganglion_accounts::uia::Attempt;
use ganglion_http_kit::{ApiError, JsonBytes, RawRequest};
use ganglion_model::{CommandId, MatrixError};
use ganglion_proto::persister::SetPassword;
use ganglion_proto::persister::user_command::Command;
use serde::Deserialize;

use crate::caller::Caller;
use crate::routes::interactive::by_password;
use crate::state::AppState;

#[derive(Deserialize)]
struct Body {
    new_password: Option<String>,
    #[serde(default = "yes")]
    logout_devices: bool,
    auth: Option<Attempt>,
}

fn yes() -> bool {
    true
}

/// Changes the caller's password. The caller's device stays in any case; without an access token
/// there is no flow to go through, as no other means of authentication is known of an account.
pub(crate) async fn post(
    State(app): State<AppState>,
    caller: Caller,
    request: RawRequest,
) -> Result<JsonBytes, ApiError> {
    let body: Body = serde_json::from_slice(&request.body)
        .map_err(|error| MatrixError::bad_json(error.to_string()))?;
    if let Some(password) = &body.new_password {
        check_strength(password, &app.config.accounts)?;
    }
    by_password(&app, &caller, "password", body.auth).await?;
    let password = body
        .new_password
        .ok_or_else(|| MatrixError::new(400, "M_MISSING_PARAM", "`new_password` is missing"))?;
    let command = Command::SetPassword(SetPassword {
        password_hash: app.passwords.hash(password).await?,
        device_id: caller.device_id.to_string(),
        end_other_devices: body.logout_devices,
    });
    app.commands
        .user(&caller.user_id, CommandId::random(), command)
        .await?;
    Ok(JsonBytes(b"{}".to_vec()))
}
