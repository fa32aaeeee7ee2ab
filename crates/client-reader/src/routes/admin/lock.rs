//! `GET` and `PUT /_matrix/client/v1/admin/lock/{userId}`

use axum::extract::State;
use ganglion_http_kit::{ApiError, Ruma, RumaBody};
use ganglion_proto::persister::SetStanding;
use ruma::api::client::admin::{is_user_locked, lock_user};

use super::{account, set_standing};
use crate::caller::Caller;
use crate::state::AppState;

/// Whether an account is locked.
pub(crate) async fn get(
    State(app): State<AppState>,
    caller: Caller,
    Ruma(request): Ruma<is_user_locked::v1::Request>,
) -> Result<RumaBody<is_user_locked::v1::Response>, ApiError> {
    let account = account(&app, &caller, &request.user_id).await?;
    Ok(RumaBody(is_user_locked::v1::Response::new(account.locked)))
}

/// Makes an account locked, or undoes it.
pub(crate) async fn put(
    State(app): State<AppState>,
    caller: Caller,
    Ruma(request): Ruma<lock_user::v1::Request>,
) -> Result<RumaBody<lock_user::v1::Response>, ApiError> {
    let set = SetStanding {
        locked: Some(request.locked),
        ..SetStanding::default()
    };
    set_standing(&app, &caller, &request.user_id, set).await?;
    Ok(RumaBody(lock_user::v1::Response::new(request.locked)))
}
