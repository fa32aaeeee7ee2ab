//! `GET /_matrix/client/v3/sync`

use std::time::Duration;

use axum::extract::State;
use ganglion_http_kit::{ApiError, JsonBytes, Routes, Ruma};
use ganglion_model::MatrixError;
use ganglion_sync::{SyncError, SyncRequest};
use ruma::api::client::filter::FilterDefinition;
use ruma::api::client::sync::sync_events::v3::{Filter, Request};

use super::presence;
use crate::caller::Caller;
use crate::state::AppState;

/// What a client that met too many others should wait.
const BUSY_MS: u64 = 1_000;

pub(crate) fn routes(routes: &mut Routes<AppState>) {
    routes.ruma_long_poll::<Request, _, _>(get);
}

/// What has changed since the token; waits for something if there is nothing.
async fn get(
    State(app): State<AppState>,
    caller: Caller,
    Ruma(request): Ruma<Request>,
) -> Result<JsonBytes, ApiError> {
    let set_presence = presence::state(&request.set_presence)?;
    let filter = filter(&app, &caller, request.filter).await?;
    let request = SyncRequest {
        user_id: caller.user_id,
        user_nid: caller.user_nid,
        device_id: caller.device_id,
        barrier: caller.barrier,
        since: request.since,
        timeout: request.timeout.unwrap_or(Duration::ZERO),
        full_state: request.full_state,
        use_state_after: request.use_state_after,
        set_presence,
        filter,
    };
    let body = app.sync.sync(&request).await.map_err(|error| match error {
        SyncError::BadToken => MatrixError::invalid_param(error.to_string()),
        SyncError::Busy => MatrixError::limit_exceeded(BUSY_MS),
        SyncError::Storage(error) => ganglion_accounts::storage_error(error),
    })?;
    Ok(JsonBytes(body))
}

async fn filter(
    app: &AppState,
    caller: &Caller,
    filter: Option<Filter>,
) -> Result<FilterDefinition, MatrixError> {
    let filter_id = match filter {
        None => return Ok(FilterDefinition::default()),
        Some(Filter::FilterDefinition(filter)) => return Ok(filter),
        Some(Filter::FilterId(id)) => id,
        Some(_) => return Err(MatrixError::invalid_param("`filter` is a filter or its id")),
    };
    let body = app
        .accounts
        .filter(&caller.barrier, caller.user_nid, &filter_id)
        .await?;
    let none = || MatrixError::invalid_param("there is no such filter");
    serde_json::from_slice(&body.ok_or_else(none)?).map_err(|error| {
        tracing::error!(error = %error, filter.id = filter_id, "filters.body is no filter");
        MatrixError::internal()
    })
}
