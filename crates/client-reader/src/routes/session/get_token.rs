//! `POST /_matrix/client/v1/login/get_token`

use axum::extract::State;
use ganglion_accounts::uia::Attempt;
use ganglion_http_kit::{ApiError, JsonBytes, RawRequest};
use ganglion_model::{CommandId, LoginToken, MatrixError};
use ganglion_proto::persister::CreateLoginToken;
use ganglion_proto::persister::user_command::Command;
use serde::Deserialize;
use serde_json::json;

use crate::caller::Caller;
use crate::routes::interactive::by_password;
use crate::state::AppState;

#[derive(Deserialize)]
struct Body {
    auth: Option<Attempt>,
}

/// A token with which another device of the caller logs in, once. The password is asked for each time.
pub(crate) async fn post(
    State(app): State<AppState>,
    caller: Caller,
    request: RawRequest,
) -> Result<JsonBytes, ApiError> {
    let body: Body = serde_json::from_slice(&request.body)
        .map_err(|error| MatrixError::bad_json(error.to_string()))?;
    let settings = &app.config.accounts;
    if !settings.login_tokens {
        let message = "this server gives out no login tokens";
        return Err(MatrixError::new(400, "M_FORBIDDEN", message).into());
    }
    by_password(&app, &caller, "get-token", body.auth).await?;
    let token = LoginToken::generate();
    let command = Command::CreateLoginToken(CreateLoginToken {
        token_hash: LoginToken::hash_of(token.reveal()).to_vec().into(),
        lifetime_ms: i64::try_from(settings.login_token_lifetime_ms).unwrap_or(i64::MAX),
    });
    app.commands
        .user(&caller.user_id, CommandId::random(), command)
        .await?;
    let answer = json!({
        "login_token": token.reveal(),
        "expires_in_ms": settings.login_token_lifetime_ms,
    });
    Ok(JsonBytes(answer.to_string().into_bytes()))
}
