//! Push rules, to read: `/_matrix/client/v3/pushrules/`

mod get;
mod get_all;
mod get_rule;

use ganglion_http_kit::Routes;
use ruma::api::client::push::{
    get_pushrule, get_pushrule_actions, get_pushrule_enabled, get_pushrules_all,
    get_pushrules_global_scope,
};

use crate::state::AppState;

pub(crate) fn routes(routes: &mut Routes<AppState>) {
    routes.ruma::<get_pushrules_all::v3::Request, _, _>(get_all::get);
    routes.ruma::<get_pushrules_global_scope::v3::Request, _, _>(get::get);
    routes.ruma::<get_pushrule::v3::Request, _, _>(get_rule::rule);
    routes.ruma::<get_pushrule_actions::v3::Request, _, _>(get_rule::actions);
    routes.ruma::<get_pushrule_enabled::v3::Request, _, _>(get_rule::enabled);
}
