//! What the server is: no account needed.

mod capabilities;
mod versions;
mod well_known;

use ganglion_http_kit::Routes;
use ruma::api::client::discovery::{discover_homeserver, get_capabilities, get_supported_versions};

use crate::state::AppState;

pub(crate) fn routes(routes: &mut Routes<AppState>) {
    routes.ruma::<get_supported_versions::Request, _, _>(versions::get);
    routes.ruma::<discover_homeserver::Request, _, _>(well_known::get);
    routes.ruma::<get_capabilities::v3::Request, _, _>(capabilities::get);
}
