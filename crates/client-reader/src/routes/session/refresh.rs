//! `POST /_matrix/client/v3/refresh`

use axum::extract::State;
use ganglion_accounts::storage_error;
use ganglion_http_kit::{ApiError, JsonBytes, Ruma};
use ganglion_model::{CommandId, RefreshToken};
use ganglion_proto::persister::Refresh;
use ganglion_proto::persister::user_command::Command;
use ruma::api::client::session::refresh_token::v3::Request;
use serde_json::json;

use super::NewTokens;
use crate::state::AppState;

/// The next pair of tokens. Those before it stay until one of these is used, so a client that did not
/// get the answer repeats the request.
pub(crate) async fn post(
    State(app): State<AppState>,
    Ruma(request): Ruma<Request>,
) -> Result<JsonBytes, ApiError> {
    let held = RefreshToken::hash_of(&request.refresh_token);
    let barrier = app.db.barrier().await.map_err(storage_error)?;
    let user_id = app.accounts.refresh_owner(&barrier, &held).await?;
    let tokens = NewTokens::generate(&app, &user_id, true);
    let command = Command::Refresh(Refresh {
        refresh_hash: held.to_vec().into(),
        token_hash: tokens.access_hash(),
        next: tokens.refresh_hash(),
    });
    app.commands
        .user(&user_id, CommandId::random(), command)
        .await?;
    let mut answer = json!({});
    tokens.write_to(&mut answer);
    Ok(JsonBytes(answer.to_string().into_bytes()))
}
