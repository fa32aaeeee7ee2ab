//! `DELETE /_matrix/client/v3/pushrules/global/{kind}/{ruleId}`

use axum::extract::State;
use ganglion_http_kit::{ApiError, Ruma, RumaBody};
use ganglion_proto::persister::change_push_rule::Change;
use ruma::api::client::push::delete_pushrule::v3::{Request, Response};

use crate::caller::Caller;
use crate::state::AppState;

/// Removes a push rule of the caller's own.
pub(crate) async fn delete(
    State(app): State<AppState>,
    caller: Caller,
    Ruma(request): Ruma<Request>,
) -> Result<RumaBody<Response>, ApiError> {
    let rule = (&request.kind, request.rule_id.as_str());
    super::change(&app, &caller, rule, Change::Delete(true)).await?;
    Ok(RumaBody(Response::new()))
}
