//! The events that have notified the caller.

mod get;

use ganglion_http_kit::Routes;
use ruma::api::client::push::get_notifications::v3::Request;

use crate::state::AppState;

pub(crate) fn routes(routes: &mut Routes<AppState>) {
    routes.ruma::<Request, _, _>(get::get);
}
