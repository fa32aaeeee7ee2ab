//! Tags of rooms.

mod delete;
mod get;
mod put;

use ganglion_http_kit::Routes;
use ruma::api::client::tag::{create_tag, delete_tag, get_tags};

use crate::state::AppState;

/// The account data of a room that holds its tags.
const TYPE: &str = "m.tag";

pub(crate) fn routes(routes: &mut Routes<AppState>) {
    routes.ruma::<get_tags::v3::Request, _, _>(get::get);
    routes.ruma::<create_tag::v3::Request, _, _>(put::put);
    routes.ruma::<delete_tag::v3::Request, _, _>(delete::delete);
}
