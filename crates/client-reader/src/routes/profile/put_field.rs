//! `PUT /_matrix/client/v3/profile/{userId}/{keyName}`

use axum::extract::State;
use bytes::Bytes;
use ganglion_accounts::profile::{check_name, checked_value};
use ganglion_event_rules::content::parse_object;
use ganglion_http_kit::{ApiError, JsonBytes, RawRequest};
use ganglion_model::MatrixError;

use crate::caller::Caller;
use crate::state::AppState;

/// Sets a field of the caller's own profile.
pub(crate) async fn put(
    State(app): State<AppState>,
    caller: Caller,
    request: RawRequest,
) -> Result<JsonBytes, ApiError> {
    let (user, field) = super::path(&request.arguments)?;
    caller.must_be(&user)?;
    check_name(field)?;
    let mut body = parse_object(&request.body).map_err(MatrixError::from)?;
    let missing = || MatrixError::new(400, "M_MISSING_PARAM", format!("the body has no `{field}`"));
    let value = body.remove(field).ok_or_else(missing)?;
    let value = match checked_value(field, value)? {
        Some(value) => {
            let json = serde_json::to_vec(&value);
            Some(Bytes::from(
                json.map_err(|_unwritable| MatrixError::internal())?,
            ))
        }
        None => None,
    };
    super::set(&app, &caller, field, value).await?;
    Ok(JsonBytes(b"{}".to_vec()))
}
