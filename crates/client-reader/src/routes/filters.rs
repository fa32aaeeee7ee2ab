//! Filters: `/_matrix/client/v3/user/{userId}/filter`

mod get;
mod post;

use ganglion_http_kit::Routes;
use ruma::api::client::filter::{create_filter, get_filter};

use crate::state::AppState;

pub(crate) fn routes(routes: &mut Routes<AppState>) {
    routes.ruma::<create_filter::v3::Request, _, _>(post::post);
    routes.ruma::<get_filter::v3::Request, _, _>(get::get);
}
