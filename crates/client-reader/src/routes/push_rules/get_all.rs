//! `GET /_matrix/client/v3/pushrules/`

use axum::extract::State;
use ganglion_http_kit::{ApiError, RumaBody};
use ruma::api::client::push::get_pushrules_all::v3::Response;

use crate::caller::Caller;
use crate::state::AppState;

/// All push rules of the caller.
pub(crate) async fn get(
    State(app): State<AppState>,
    caller: Caller,
) -> Result<RumaBody<Response>, ApiError> {
    let owner = (&*caller.user_id, caller.user_nid);
    let global = app.accounts.push_rules(&caller.barrier, owner).await?;
    Ok(RumaBody(Response::new(global)))
}
