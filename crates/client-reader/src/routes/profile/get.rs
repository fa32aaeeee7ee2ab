//! `GET /_matrix/client/v3/profile/{userId}`

use axum::extract::State;
use ganglion_http_kit::{ApiError, JsonBytes, RawRequest};
use ganglion_model::MatrixError;

use crate::state::AppState;

/// All fields of a profile.
pub(crate) async fn get(
    State(app): State<AppState>,
    request: RawRequest,
) -> Result<JsonBytes, ApiError> {
    let [user] = request.arguments.as_slice() else {
        return Err(MatrixError::internal().into());
    };
    let fields = super::fields(&app, &super::user_id(user)?).await?;
    let body = serde_json::to_vec(&fields).map_err(|_unwritable| MatrixError::internal())?;
    Ok(JsonBytes(body))
}
