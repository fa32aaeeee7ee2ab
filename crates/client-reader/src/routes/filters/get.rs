//! `GET /_matrix/client/v3/user/{userId}/filter/{filterId}`

use axum::extract::State;
use ganglion_http_kit::{ApiError, JsonBytes, Ruma};
use ganglion_model::MatrixError;
use ruma::api::client::filter::get_filter::v3::Request;

use crate::caller::Caller;
use crate::state::AppState;

/// A filter that the caller has made.
pub(crate) async fn get(
    State(app): State<AppState>,
    caller: Caller,
    Ruma(request): Ruma<Request>,
) -> Result<JsonBytes, ApiError> {
    caller.must_be(&request.user_id)?;
    let body = app
        .accounts
        .filter(&caller.barrier, caller.user_nid, &request.filter_id)
        .await?;
    let none = || MatrixError::not_found("there is no such filter");
    Ok(JsonBytes(body.ok_or_else(none)?))
}
