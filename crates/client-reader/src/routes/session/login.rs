//! `POST /_matrix/client/v3/login`

use axum::extract::State;
use ganglion_accounts::storage_error;
use ganglion_accounts::uia::Identifier;
use ganglion_accounts::usernames::login_user_id;
use ganglion_http_kit::{ApiError, JsonBytes, RawRequest};
use ganglion_model::{CommandId, MatrixError};
use ganglion_proto::persister::Login;
use ganglion_proto::persister::user_command::Command;
use ruma::OwnedUserId;
use serde::Deserialize;
use serde_json::json;

use super::{DeviceWish, new_device};
use crate::routes::interactive::{missing, user_name};
use crate::state::AppState;

// Not ruma's type: its parser panics where `type` is missing.
#[derive(Deserialize)]
struct Body {
    r#type: String,
    identifier: Option<Identifier>,
    /// Deprecated form of `identifier`.
    user: Option<String>,
    password: Option<String>,
    #[serde(flatten)]
    device: DeviceWish,
}

/// Logs in with a password. A device that exists already loses its earlier tokens.
pub(crate) async fn post(
    State(app): State<AppState>,
    request: RawRequest,
) -> Result<JsonBytes, ApiError> {
    let body: Body = serde_json::from_slice(&request.body)
        .map_err(|error| MatrixError::bad_json(error.to_string()))?;
    match body.r#type.as_str() {
        "m.login.password" => {}
        "m.login.application_service" => {
            let message = "this server knows no application services";
            return Err(MatrixError::forbidden(message).into());
        }
        _ => {
            let message = "there is no such login type here";
            return Err(MatrixError::new(400, "M_UNKNOWN", message).into());
        }
    }
    let user_id = authenticate(&app, &body).await?;
    let (device, tokens) = new_device(&app, &user_id, body.device);
    let device_id = device.device_id.clone();
    let command = Command::Login(Login {
        device: Some(device),
    });
    app.commands
        .user(&user_id, CommandId::random(), command)
        .await?;
    let mut answer = json!({
        "user_id": user_id,
        "device_id": device_id,
        "home_server": app.server_name,
        "well_known": {"m.homeserver": {"base_url": app.config.server.public_url}},
    });
    tokens.write_to(&mut answer);
    Ok(JsonBytes(answer.to_string().into_bytes()))
}

/// The user whose password this is. Where there is no such user it takes as long.
async fn authenticate(app: &AppState, body: &Body) -> Result<OwnedUserId, MatrixError> {
    let name = user_name(body.identifier.as_ref(), body.user.as_ref())?;
    let name = name.ok_or_else(wrong)?;
    let password = body.password.clone().ok_or_else(|| missing("password"))?;
    let user_id = login_user_id(name, &app.server_name);
    let account = match &user_id {
        Some(user_id) => {
            let barrier = app.db.barrier().await.map_err(storage_error)?;
            app.accounts.account(&barrier, user_id).await?
        }
        None => None,
    };
    let deactivated = account.as_ref().is_some_and(|account| account.deactivated);
    let stored = account.and_then(|account| account.password_hash);
    let fits = app.passwords.verify(password, stored).await?;
    match user_id {
        // That there was such an account is known of its name already, and its password is gone.
        Some(_) if deactivated => {
            let message = "this account is deactivated";
            Err(MatrixError::new(403, "M_USER_DEACTIVATED", message))
        }
        Some(user_id) if fits => Ok(user_id),
        _ => Err(wrong()),
    }
}

fn wrong() -> MatrixError {
    MatrixError::forbidden("wrong user name or password")
}
