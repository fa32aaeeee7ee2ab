//! `DELETE /_matrix/client/v3/profile/{userId}/{keyName}`

use axum::extract::State;
use ganglion_accounts::profile::check_name;
use ganglion_http_kit::{ApiError, JsonBytes, RawRequest};

use crate::caller::Caller;
use crate::state::AppState;

/// Removes a field of the caller's own profile.
pub(crate) async fn delete(
    State(app): State<AppState>,
    caller: Caller,
    request: RawRequest,
) -> Result<JsonBytes, ApiError> {
    let (user, field) = super::path(&request.arguments)?;
    caller.must_be(&user)?;
    check_name(field)?;
    super::set(&app, &caller, field, None).await?;
    Ok(JsonBytes(b"{}".to_vec()))
}
