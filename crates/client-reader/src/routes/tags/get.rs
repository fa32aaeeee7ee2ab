//! `GET /_matrix/client/v3/user/{userId}/rooms/{roomId}/tags`

use std::collections::BTreeMap;

use axum::extract::State;
use ganglion_http_kit::{ApiError, JsonBytes, Ruma};
use ganglion_model::MatrixError;
use ruma::api::client::tag::get_tags::v3::Request;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::TYPE;
use crate::caller::Caller;
use crate::state::AppState;

#[derive(Default, Serialize, Deserialize)]
struct Tags {
    tags: BTreeMap<String, Box<RawValue>>,
}

/// The caller's tags on a room; none on a room that is not known.
pub(crate) async fn get(
    State(app): State<AppState>,
    caller: Caller,
    Ruma(request): Ruma<Request>,
) -> Result<JsonBytes, ApiError> {
    caller.must_be(&request.user_id)?;
    let owner = (&*caller.user_id, caller.user_nid);
    let stored = app
        .accounts
        .account_data(&caller.barrier, owner, Some(&request.room_id), TYPE)
        .await?;
    // As account data a client may have set anything.
    let tags: Tags = stored
        .and_then(|stored| serde_json::from_slice(&stored).ok())
        .unwrap_or_default();
    let body = serde_json::to_vec(&tags).map_err(|error| {
        tracing::error!(%error, "tags cannot be written");
        MatrixError::internal()
    })?;
    Ok(JsonBytes(body))
}
