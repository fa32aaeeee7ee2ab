//! `GET /_matrix/client/v3/pushrules/global/`

use axum::extract::State;
use ganglion_http_kit::{ApiError, RumaBody};
use ruma::api::client::push::get_pushrules_global_scope::v3::Response;

use crate::caller::Caller;
use crate::state::AppState;

/// The caller's push rules of the one scope there is.
pub(crate) async fn get(
    State(app): State<AppState>,
    caller: Caller,
) -> Result<RumaBody<Response>, ApiError> {
    let owner = (&*caller.user_id, caller.user_nid);
    let global = app.accounts.push_rules(&caller.barrier, owner).await?;
    Ok(RumaBody(Response::new(global)))
}
