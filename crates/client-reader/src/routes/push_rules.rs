//! Push rules: `/_matrix/client/v3/pushrules/`

mod delete;
mod get;
mod get_all;
mod get_rule;
mod put;
mod put_actions;
mod put_enabled;

use ganglion_http_kit::{ApiError, Routes};
use ganglion_model::CommandId;
use ganglion_proto::persister::ChangePushRule;
use ganglion_proto::persister::change_push_rule::Change;
use ganglion_proto::persister::user_command::Command;
use http::Method;
use ruma::api::client::push::{
    delete_pushrule, get_pushrule, get_pushrule_actions, get_pushrule_enabled, get_pushrules_all,
    get_pushrules_global_scope, set_pushrule, set_pushrule_actions, set_pushrule_enabled,
};
use ruma::push::RuleKind;

use crate::caller::Caller;
use crate::state::AppState;

pub(crate) fn routes(routes: &mut Routes<AppState>) {
    routes.ruma::<get_pushrules_all::v3::Request, _, _>(get_all::get);
    routes.ruma::<get_pushrules_global_scope::v3::Request, _, _>(get::get);
    for version in ["r0", "v3"] {
        let all = format!("/_matrix/client/{version}/pushrules");
        routes.at(Method::GET, &all, get_all::get);
        routes.at(Method::GET, &format!("{all}/global"), get::get);
    }
    routes.ruma::<get_pushrule::v3::Request, _, _>(get_rule::rule);
    routes.ruma::<get_pushrule_actions::v3::Request, _, _>(get_rule::actions);
    routes.ruma::<get_pushrule_enabled::v3::Request, _, _>(get_rule::enabled);
    routes.ruma::<set_pushrule::v3::Request, _, _>(put::put);
    routes.ruma::<delete_pushrule::v3::Request, _, _>(delete::delete);
    routes.ruma::<set_pushrule_actions::v3::Request, _, _>(put_actions::put);
    routes.ruma::<set_pushrule_enabled::v3::Request, _, _>(put_enabled::put);
}

/// Has one of the caller's rules changed.
async fn change(
    app: &AppState,
    caller: &Caller,
    (kind, rule_id): (&RuleKind, &str),
    change: Change,
) -> Result<(), ApiError> {
    let command = Command::ChangePushRule(ChangePushRule {
        kind: kind.to_string(),
        rule_id: rule_id.to_owned(),
        change: Some(change),
    });
    app.commands
        .user(&caller.user_id, CommandId::random(), command)
        .await?;
    Ok(())
}
