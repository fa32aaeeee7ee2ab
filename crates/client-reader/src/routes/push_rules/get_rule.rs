//! `GET /_matrix/client/v3/pushrules/global/{kind}/{ruleId}`, its `actions` and whether it is `enabled`

use axum::extract::State;
use ganglion_http_kit::{ApiError, Ruma, RumaBody};
use ganglion_model::MatrixError;
use ruma::api::client::push::{PushRule, get_pushrule, get_pushrule_actions, get_pushrule_enabled};
use ruma::push::RuleKind;

use crate::caller::Caller;
use crate::state::AppState;

/// One push rule of the caller.
pub(crate) async fn rule(
    State(app): State<AppState>,
    caller: Caller,
    Ruma(request): Ruma<get_pushrule::v3::Request>,
) -> Result<RumaBody<get_pushrule::v3::Response>, ApiError> {
    let rule = find(&app, &caller, request.kind, &request.rule_id).await?;
    Ok(RumaBody(get_pushrule::v3::Response::new(rule)))
}

/// What one push rule of the caller does.
pub(crate) async fn actions(
    State(app): State<AppState>,
    caller: Caller,
    Ruma(request): Ruma<get_pushrule_actions::v3::Request>,
) -> Result<RumaBody<get_pushrule_actions::v3::Response>, ApiError> {
    let rule = find(&app, &caller, request.kind, &request.rule_id).await?;
    Ok(RumaBody(get_pushrule_actions::v3::Response::new(
        rule.actions,
    )))
}

/// Whether one push rule of the caller is on.
pub(crate) async fn enabled(
    State(app): State<AppState>,
    caller: Caller,
    Ruma(request): Ruma<get_pushrule_enabled::v3::Request>,
) -> Result<RumaBody<get_pushrule_enabled::v3::Response>, ApiError> {
    let rule = find(&app, &caller, request.kind, &request.rule_id).await?;
    Ok(RumaBody(get_pushrule_enabled::v3::Response::new(
        rule.enabled,
    )))
}

async fn find(
    app: &AppState,
    caller: &Caller,
    kind: RuleKind,
    rule_id: &str,
) -> Result<PushRule, MatrixError> {
    let owner = (&*caller.user_id, caller.user_nid);
    let rules = app.accounts.push_rules(&caller.barrier, owner).await?;
    let rule = rules.get(kind, rule_id);
    let rule = rule.ok_or_else(|| MatrixError::not_found("there is no such push rule"))?;
    Ok(rule.to_owned().into())
}
