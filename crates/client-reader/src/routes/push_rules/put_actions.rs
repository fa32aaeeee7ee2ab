//! `PUT /_matrix/client/v3/pushrules/global/{kind}/{ruleId}/actions`

use axum::extract::State;
use ganglion_http_kit::{ApiError, Ruma, RumaBody};
use ganglion_model::MatrixError;
use ganglion_proto::persister::change_push_rule::Change;
use ruma::api::client::push::set_pushrule_actions::v3::{Request, Response};

use crate::caller::Caller;
use crate::state::AppState;

/// Replaces what a push rule does, also one of the server's.
pub(crate) async fn put(
    State(app): State<AppState>,
    caller: Caller,
    Ruma(request): Ruma<Request>,
) -> Result<RumaBody<Response>, ApiError> {
    let actions =
        serde_json::to_vec(&request.actions).map_err(|_not_json| MatrixError::internal())?;
    let rule = (&request.kind, request.rule_id.as_str());
    super::change(&app, &caller, rule, Change::Actions(actions.into())).await?;
    Ok(RumaBody(Response::new()))
}
