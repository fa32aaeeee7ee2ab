//! `GET /_matrix/client/v3/profile/{userId}/{keyName}`

use axum::extract::State;
use ganglion_http_kit::{ApiError, JsonBytes, RawRequest};
use ganglion_model::MatrixError;
use serde_json::{Map, Value};

use crate::state::AppState;

/// One field of a profile.
pub(crate) async fn get(
    State(app): State<AppState>,
    request: RawRequest,
) -> Result<JsonBytes, ApiError> {
    let (user, field) = super::path(&request.arguments)?;
    let mut fields = super::fields(&app, &user).await?;
    let value = fields
        .remove(field)
        .ok_or_else(|| MatrixError::not_found("the profile has no such key"))?;
    let body = Value::Object(Map::from_iter([(field.to_owned(), value)]));
    Ok(JsonBytes(body.to_string().into_bytes()))
}
