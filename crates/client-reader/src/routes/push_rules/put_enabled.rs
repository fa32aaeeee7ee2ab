//! `PUT /_matrix/client/v3/pushrules/global/{kind}/{ruleId}/enabled`

use axum::extract::State;
use ganglion_http_kit::{ApiError, Ruma, RumaBody};
use ganglion_proto::persister::change_push_rule::Change;
use ruma::api::client::push::set_pushrule_enabled::v3::{Request, Response};

use crate::caller::Caller;
use crate::state::AppState;

/// Turns a push rule on or off, also one of the server's.
pub(crate) async fn put(
    State(app): State<AppState>,
    caller: Caller,
    Ruma(request): Ruma<Request>,
) -> Result<RumaBody<Response>, ApiError> {
    let rule = (&request.kind, request.rule_id.as_str());
    super::change(&app, &caller, rule, Change::Enabled(request.enabled)).await?;
    Ok(RumaBody(Response::new()))
}
