//! `POST /_matrix/client/v3/register`

use axum::extract::State;
use ganglion_accounts::passwords::check_strength;
use ganglion_accounts::storage_error;
use ganglion_accounts::uia::{Attempt, Flow};
use ganglion_accounts::usernames::{new_user_id, random_user_id};
use ganglion_http_kit::{ApiError, JsonBytes, Ruma};
use ganglion_model::{CommandId, MatrixError};
use ganglion_proto::persister::Register;
use ganglion_proto::persister::user_command::Command;
use ganglion_storage::Barrier;
use ruma::UserId;
use ruma::api::client::account::register::RegistrationKind;
use ruma::api::client::account::register::v3::Request;
use ruma::api::client::uiaa::AuthData;
use serde_json::{Value, json};

use super::{DeviceWish, new_device};
use crate::state::AppState;

/// The number of an ordinary account's kind (proto `Register.kind`).
const PERSON: u32 = 0;

/// Makes an account, and logs its first device in unless that is not wanted.
pub(crate) async fn post(
    State(app): State<AppState>,
    Ruma(request): Ruma<Request>,
) -> Result<JsonBytes, ApiError> {
    must_be_served(&app, &request)?;
    let barrier = app.db.barrier().await.map_err(storage_error)?;
    let user_id = match &request.username {
        Some(name) => new_user_id(name, &app.server_name)?,
        None => random_user_id(&app.server_name)?,
    };
    must_be_free(&app, &barrier, &user_id).await?;
    let registration_token = authorised(&app, &barrier, request.auth).await?;
    let password = request
        .password
        .ok_or_else(|| MatrixError::new(400, "M_MISSING_PARAM", "`password` is missing"))?;
    check_strength(&password, &app.config.accounts)?;
    let password_hash = app.passwords.hash(password).await?;
    let wish = DeviceWish {
        device_id: request.device_id.map(|id| id.to_string()),
        initial_device_display_name: request.initial_device_display_name,
        refresh_token: request.refresh_token,
    };
    let login = (!request.inhibit_login).then(|| new_device(&app, &user_id, wish));
    let command = Register {
        password_hash,
        kind: PERSON,
        registration_token,
        device: login.as_ref().map(|(device, _)| device.clone()),
    };
    app.commands
        .user(&user_id, CommandId::random(), Command::Register(command))
        .await?;
    let mut answer = json!({"user_id": user_id, "home_server": app.server_name});
    if let Some((device, tokens)) = login {
        answer["device_id"] = Value::from(device.device_id);
        tokens.write_to(&mut answer);
    }
    Ok(JsonBytes(answer.to_string().into_bytes()))
}

/// Refuses what this server does not let anybody register.
fn must_be_served(app: &AppState, request: &Request) -> Result<(), MatrixError> {
    if request.login_type.is_some() {
        return Err(MatrixError::forbidden(
            "this server knows no application services",
        ));
    }
    match request.kind {
        RegistrationKind::User => {}
        RegistrationKind::Guest => {
            let message = "guests are not served";
            return Err(MatrixError::new(403, "M_GUEST_ACCESS_FORBIDDEN", message));
        }
        _ => {
            return Err(MatrixError::invalid_param(
                "`kind` is \"user\" or \"guest\"",
            ));
        }
    }
    if app.config.accounts.registration == "disabled" {
        return Err(MatrixError::forbidden("registration is disabled"));
    }
    Ok(())
}

/// Tells before the authentication that a name is taken, as the specification asks; the account's
/// shard decides.
pub(super) async fn must_be_free(
    app: &AppState,
    barrier: &Barrier,
    user_id: &UserId,
) -> Result<(), MatrixError> {
    match app.accounts.account(barrier, user_id).await? {
        None => Ok(()),
        Some(_) => Err(MatrixError::new(
            400,
            "M_USER_IN_USE",
            "this user name is taken",
        )),
    }
}

/// User-interactive authentication of one stage: the registration token that was given, or `None`
/// where the stage is the dummy.
async fn authorised(
    app: &AppState,
    barrier: &Barrier,
    auth: Option<AuthData>,
) -> Result<Option<String>, MatrixError> {
    let with_token = app.config.accounts.registration == "token";
    let stage = if with_token {
        "m.login.registration_token"
    } else {
        "m.login.dummy"
    };
    let now_ms = app.clock.now_ms();
    let flow = Flow::new(app.secret.clone(), "register", stage, now_ms);
    let attempt = flow.attempt(auth.map(as_attempt))?;
    if !with_token {
        return Ok(None);
    }
    let token = attempt.token.clone().unwrap_or_default();
    let valid = app
        .accounts
        .registration_token_is_valid(barrier, &token)
        .await?;
    if !valid {
        let why = "the registration token is not valid";
        return Err(flow.refused(&attempt, "M_UNAUTHORIZED", why));
    }
    Ok(Some(token))
}

fn as_attempt(auth: AuthData) -> Attempt {
    let r#type = auth.auth_type().map(|stage| stage.to_string());
    let session = auth.session().map(str::to_owned);
    let token = match auth {
        AuthData::RegistrationToken(given) => Some(given.token),
        _ => None,
    };
    Attempt {
        r#type,
        session,
        token,
        ..Attempt::default()
    }
}
