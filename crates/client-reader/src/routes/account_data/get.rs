//! `GET /_matrix/client/v3/user/{userId}/account_data/{type}` and
//! `GET /_matrix/client/v3/user/{userId}/rooms/{roomId}/account_data/{type}`

use axum::extract::State;
use ganglion_http_kit::{ApiError, JsonBytes, RawRequest};
use ganglion_model::MatrixError;
use ganglion_push_rules as push_rules;

use crate::caller::Caller;
use crate::state::AppState;

/// One piece of the caller's account data.
pub(crate) async fn get(
    State(app): State<AppState>,
    caller: Caller,
    request: RawRequest,
) -> Result<JsonBytes, ApiError> {
    let (room, data_type) = super::place(&caller, &request.arguments)?;
    let owner = (&*caller.user_id, caller.user_nid);
    let stored = app
        .accounts
        .account_data(&caller.barrier, owner, room.as_deref(), data_type)
        .await?;
    // Who never changed the push rules has them all the same.
    if room.is_none() && data_type == push_rules::TYPE {
        return Ok(JsonBytes(push_rules::content(
            stored.as_deref(),
            &caller.user_id,
        )));
    }
    let none = || MatrixError::not_found("there is no account data of this type");
    Ok(JsonBytes(stored.ok_or_else(none)?))
}
