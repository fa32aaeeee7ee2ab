//! `POST /_matrix/client/v3/register`

use axum::extract::State;
use ganglion_accounts::passwords::check_strength;
use ganglion_accounts::storage_error;
use ganglion_accounts::uia::Sessions;
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
    check_strength(&password, app.config.accounts.password_min_length)?;
    let password_hash = app.passwords.hash(password).await?;
    let wish = DeviceWish {
        device_id: request.device_id.map(|id| id.to_string()),
        initial_device_display_name: request.initial_device_display_name,
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
    if let Some((device, token)) = login {
        answer["device_id"] = Value::from(device.device_id);
        answer["access_token"] = Value::from(token.reveal());
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
async fn must_be_free(
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
    let sessions = Sessions::new(app.secret.clone(), "register");
    let now_ms = app.clock.now_ms();
    let Some(auth) = auth else {
        return Err(challenge(&sessions, stage, now_ms, None));
    };
    let refused = |why: &str| challenge(&sessions, stage, now_ms, Some(why));
    // A client that knows the one stage need not ask for a session first.
    if auth
        .session()
        .is_some_and(|session| !sessions.is_live(session, now_ms))
    {
        return Err(refused("this session is not known, or is over"));
    }
    match auth {
        AuthData::Dummy(_) if !with_token => Ok(None),
        AuthData::RegistrationToken(given) if with_token => {
            if app
                .accounts
                .registration_token_is_valid(barrier, &given.token)
                .await?
            {
                Ok(Some(given.token))
            } else {
                Err(refused("the registration token is not valid"))
            }
        }
        _ => Err(refused("this is no stage of the flow")),
    }
}

/// 401 with the flow to go through (client-server API, "User-Interactive Authentication API").
fn challenge(sessions: &Sessions, stage: &str, now_ms: i64, error: Option<&str>) -> MatrixError {
    let body = json!({
        "flows": [{"stages": [stage]}],
        "params": {},
        "completed": [],
        "session": sessions.begin(now_ms),
    });
    let (errcode, message) = match error {
        Some(why) => ("M_UNAUTHORIZED", why),
        None => ("", ""),
    };
    MatrixError {
        extra: Some(body.to_string()),
        ..MatrixError::new(401, errcode, message)
    }
}
