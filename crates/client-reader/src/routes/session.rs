//! Registration, login and logout.

mod login;
mod login_flows;
mod logout;
mod logout_all;
mod register;
mod whoami;

use ganglion_http_kit::Routes;
use ganglion_model::AccessToken;
use ganglion_proto::persister::NewDevice;
use ruma::UserId;
use ruma::api::client::account::{register as register_api, whoami as whoami_api};
use ruma::api::client::session::{
    get_login_types, login as login_api, logout as logout_api, logout_all as logout_all_api,
};
use serde::Deserialize;

use crate::state::AppState;

pub(crate) fn routes(routes: &mut Routes<AppState>) {
    routes.ruma::<register_api::v3::Request, _, _>(register::post);
    routes.ruma::<get_login_types::v3::Request, _, _>(login_flows::get);
    routes.ruma::<login_api::v3::Request, _, _>(login::post);
    routes.ruma::<logout_api::v3::Request, _, _>(logout::post);
    routes.ruma::<logout_all_api::v3::Request, _, _>(logout_all::post);
    routes.ruma::<whoami_api::v3::Request, _, _>(whoami::get);
}

/// The device that a login or a registration is for.
#[derive(Deserialize)]
struct DeviceWish {
    device_id: Option<String>,
    initial_device_display_name: Option<String>,
}

/// The device for the command, and its id and access token for the client.
fn new_device(app: &AppState, user: &UserId, wish: DeviceWish) -> (NewDevice, AccessToken) {
    let token = AccessToken::generate(&app.secret, user.as_str());
    let device = NewDevice {
        device_id: wish
            .device_id
            .unwrap_or_else(ganglion_accounts::usernames::random_device_id),
        display_name: wish.initial_device_display_name,
        token_hash: AccessToken::hash_of(token.reveal()).to_vec().into(),
    };
    (device, token)
}
