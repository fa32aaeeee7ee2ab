//! `POST /_matrix/client/v3/login`

use axum::Extension;
use axum::extract::State;
use ganglion_accounts::storage_error;
use ganglion_accounts::uia::Identifier;
use ganglion_accounts::usernames::login_user_id;
use ganglion_http_kit::{ApiError, ClientAddress, JsonBytes, RawRequest};
use ganglion_model::{CommandId, LoginToken, MatrixError};
use ganglion_proto::persister::Login;
use ganglion_proto::persister::user_command::Command;
use ruma::OwnedUserId;
use serde::Deserialize;
use serde_json::json;

use super::{DeviceWish, new_device};
use crate::limits::PasswordCheck;
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
    /// For `m.login.token`.
    token: Option<String>,
    #[serde(flatten)]
    device: DeviceWish,
}

/// Logs in with a password or a login token. A device that exists already loses its earlier tokens.
pub(crate) async fn post(
    State(app): State<AppState>,
    address: Option<Extension<ClientAddress>>,
    request: RawRequest,
) -> Result<JsonBytes, ApiError> {
    let body: Body = serde_json::from_slice(&request.body)
        .map_err(|error| MatrixError::bad_json(error.to_string()))?;
    let address = address.map(|Extension(address)| address);
    let (user_id, login_token) = match body.r#type.as_str() {
        "m.login.password" => (authenticate(&app, &body, address).await?, None),
        "m.login.token" if app.config.accounts.login_tokens => {
            let (user_id, hash) = holder(&app, &body).await?;
            (user_id, Some(hash.to_vec().into()))
        }
        "m.login.application_service" => {
            let message = "this server knows no application services";
            return Err(MatrixError::forbidden(message).into());
        }
        _ => {
            let message = "there is no such login type here";
            return Err(MatrixError::new(400, "M_UNKNOWN", message).into());
        }
    };
    let (device, tokens) = new_device(&app, &user_id, body.device);
    let device_id = device.device_id.clone();
    let command = Command::Login(Login {
        device: Some(device),
        login_token,
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

/// The user of a login token, which the user's shard uses up; and its hash.
async fn holder(app: &AppState, body: &Body) -> Result<(OwnedUserId, [u8; 32]), MatrixError> {
    let token = body.token.as_deref().ok_or_else(|| missing("token"))?;
    let hash = LoginToken::hash_of(token);
    let barrier = app.db.barrier().await.map_err(storage_error)?;
    let user_id = app.accounts.login_token_owner(&barrier, &hash).await?;
    let user_id = user_id.ok_or_else(|| MatrixError::forbidden("the login token is not valid"))?;
    Ok((user_id, hash))
}

/// The user whose password this is. Where there is no such user it takes as long.
async fn authenticate(
    app: &AppState,
    body: &Body,
    address: Option<ClientAddress>,
) -> Result<OwnedUserId, MatrixError> {
    let name = user_name(body.identifier.as_ref(), body.user.as_ref())?;
    let name = name.ok_or_else(wrong)?;
    let password = body.password.clone().ok_or_else(|| missing("password"))?;
    let user_id = login_user_id(name, &app.server_name);
    // Counted for names without an account, too: the answer must not tell which there are.
    let check = match &user_id {
        Some(user_id) => Some(PasswordCheck::of_login(app, user_id, address)?),
        None => None,
    };
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
    if let (true, Some(check)) = (fits, check) {
        check.passed(app);
    }
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
