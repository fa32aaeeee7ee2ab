//! The public directory, and what is told of rooms from outside.

mod get_visibility;
mod hierarchy;
mod public_rooms;
mod put_visibility;
mod room_summary;

use ganglion_http_kit::Routes;
use ruma::api::client::directory::{
    get_public_rooms, get_public_rooms_filtered, get_room_visibility, set_room_visibility,
};
use ruma::api::client::room::get_summary;
use ruma::api::client::space::get_hierarchy;

use crate::state::AppState;

pub(crate) fn routes(routes: &mut Routes<AppState>) {
    routes.ruma::<get_room_visibility::v3::Request, _, _>(get_visibility::get);
    routes.ruma::<set_room_visibility::v3::Request, _, _>(put_visibility::put);
    routes.ruma::<get_public_rooms::v3::Request, _, _>(public_rooms::get);
    routes.ruma::<get_public_rooms_filtered::v3::Request, _, _>(public_rooms::post);
    routes.ruma::<get_summary::v1::Request, _, _>(room_summary::get);
    routes.ruma::<get_hierarchy::v1::Request, _, _>(hierarchy::get);
}
