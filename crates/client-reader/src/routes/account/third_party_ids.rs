//! Third-party identifiers, of which this server binds none to an account:
//! `/_matrix/client/v3/account/3pid/...` and the endpoints that ask for a validation token. It sends no
//! mail and trusts no identity server.

use axum::extract::State;
use ganglion_accounts::uia::Attempt;
use ganglion_http_kit::{ApiError, JsonBytes, RawRequest, Ruma};
use ganglion_model::MatrixError;
use ruma::api::IncomingRequest;
use serde::Deserialize;

use crate::caller::Caller;
use crate::routes::interactive::by_password;
use crate::state::AppState;

/// The identifiers of the caller's account: none.
pub(crate) async fn get(_caller: Caller) -> JsonBytes {
    JsonBytes(br#"{"threepids":[]}"#.to_vec())
}

/// For a registration: it is not wanted.
pub(crate) async fn denied<R: IncomingRequest + Send + 'static>(
    _request: Ruma<R>,
) -> Result<(), ApiError> {
    let message = "this server takes no third-party identifiers";
    Err(MatrixError::new(403, "M_THREEPID_DENIED", message).into())
}

/// For adding it to an account: none of any medium is.
pub(crate) async fn not_supported<R: IncomingRequest + Send + 'static>(
    _request: Ruma<R>,
) -> Result<(), ApiError> {
    let message = "this server adds no third-party identifiers to accounts";
    Err(MatrixError::new(400, "M_THREEPID_MEDIUM_NOT_SUPPORTED", message).into())
}

/// For a new password: no account has it.
pub(crate) async fn not_found<R: IncomingRequest + Send + 'static>(
    _request: Ruma<R>,
) -> Result<(), ApiError> {
    let message = "no account has this third-party identifier";
    Err(MatrixError::new(400, "M_THREEPID_NOT_FOUND", message).into())
}

#[derive(Deserialize)]
struct Add {
    auth: Option<Attempt>,
    #[serde(rename = "client_secret")]
    _client_secret: String,
    #[serde(rename = "sid")]
    _sid: String,
}

/// `POST .../3pid/add`: no session of this server has validated anything.
pub(crate) async fn add(
    State(app): State<AppState>,
    caller: Caller,
    request: RawRequest,
) -> Result<(), ApiError> {
    let body: Add = serde_json::from_slice(&request.body)
        .map_err(|error| MatrixError::bad_json(error.to_string()))?;
    by_password(&app, &caller, "3pid/add", body.auth).await?;
    let message = "no third-party identifier was validated in this session";
    Err(MatrixError::new(400, "M_THREEPID_AUTH_FAILED", message).into())
}

/// `POST .../3pid/bind`: no identity server is trusted.
pub(crate) async fn bind<R: IncomingRequest + Send + 'static>(
    _caller: Caller,
    _request: Ruma<R>,
) -> Result<(), ApiError> {
    let message = "this server trusts no identity server";
    Err(MatrixError::new(403, "M_SERVER_NOT_TRUSTED", message).into())
}

#[derive(Deserialize)]
struct Credentials {
    #[serde(rename = "client_secret")]
    _client_secret: String,
    #[serde(rename = "id_server")]
    _id_server: String,
    #[serde(rename = "sid")]
    _sid: String,
}

#[derive(Deserialize)]
struct Post {
    #[serde(rename = "three_pid_creds")]
    _three_pid_creds: Credentials,
}

/// `POST .../3pid`, which is deprecated: no identity server is asked, so nothing is verified.
pub(crate) async fn post(_caller: Caller, request: RawRequest) -> Result<(), ApiError> {
    let _body: Post = serde_json::from_slice(&request.body)
        .map_err(|error| MatrixError::bad_json(error.to_string()))?;
    let message = "not verified: this server trusts no identity server";
    Err(MatrixError::new(403, "M_THREEPID_AUTH_FAILED", message).into())
}

/// `POST .../3pid/delete` and `.../3pid/unbind`: the account has no identifier, and where it may be
/// bound is not known.
pub(crate) async fn gone<R: IncomingRequest + Send + 'static>(
    _caller: Caller,
    _request: Ruma<R>,
) -> JsonBytes {
    JsonBytes(br#"{"id_server_unbind_result":"no-support"}"#.to_vec())
}
