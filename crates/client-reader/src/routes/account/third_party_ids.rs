//! Third-party identifiers, of which this server binds none to an account:
//! `GET /_matrix/client/v3/account/3pid` and the endpoints that ask for a validation token.

use ganglion_http_kit::{ApiError, JsonBytes, Ruma};
use ganglion_model::MatrixError;
use ruma::api::IncomingRequest;

use crate::caller::Caller;

/// The identifiers of the caller's account: none.
pub(crate) async fn get(_caller: Caller) -> JsonBytes {
    JsonBytes(br#"{"threepids":[]}"#.to_vec())
}

/// For a registration or for adding it to an account: it is not wanted.
pub(crate) async fn denied<R: IncomingRequest + Send + 'static>(
    _request: Ruma<R>,
) -> Result<(), ApiError> {
    let message = "this server takes no third-party identifiers";
    Err(MatrixError::new(403, "M_THREEPID_DENIED", message).into())
}

/// For a new password: no account has it.
pub(crate) async fn not_found<R: IncomingRequest + Send + 'static>(
    _request: Ruma<R>,
) -> Result<(), ApiError> {
    let message = "no account has this third-party identifier";
    Err(MatrixError::new(400, "M_THREEPID_NOT_FOUND", message).into())
}
