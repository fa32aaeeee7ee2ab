//! Registration, login and logout.

mod get_token;
mod login;
mod login_flows;
mod logout;
mod logout_all;
mod refresh;
mod register;
mod register_available;
mod registration_token_validity;
mod whoami;

use bytes::Bytes;
use ganglion_http_kit::Routes;
use ganglion_model::{AccessToken, RefreshToken};
use ganglion_proto::persister::{self, NewDevice};
use ruma::UserId;
use ruma::api::client::account::{
    check_registration_token_validity, get_username_availability, register as register_api,
    whoami as whoami_api,
};
use ruma::api::client::session::{
    get_login_token, get_login_types, login as login_api, logout as logout_api,
    logout_all as logout_all_api, refresh_token as refresh_api,
};
use serde::Deserialize;
use serde_json::Value;

use crate::state::AppState;

pub(crate) fn routes(routes: &mut Routes<AppState>) {
    routes.ruma::<register_api::v3::Request, _, _>(register::post);
    routes.ruma::<get_username_availability::v3::Request, _, _>(register_available::get);
    routes.ruma::<check_registration_token_validity::v1::Request, _, _>(
        registration_token_validity::get,
    );
    routes.ruma::<get_login_types::v3::Request, _, _>(login_flows::get);
    routes.ruma::<login_api::v3::Request, _, _>(login::post);
    routes.ruma::<get_login_token::v1::Request, _, _>(get_token::post);
    routes.ruma::<refresh_api::v3::Request, _, _>(refresh::post);
    routes.ruma::<logout_api::v3::Request, _, _>(logout::post);
    routes.ruma::<logout_all_api::v3::Request, _, _>(logout_all::post);
    routes.ruma::<whoami_api::v3::Request, _, _>(whoami::get);
}

/// The device that a login or a registration is for.
#[derive(Deserialize)]
struct DeviceWish {
    device_id: Option<String>,
    initial_device_display_name: Option<String>,
    /// Whether the client refreshes its access token; without it the token does not expire.
    #[serde(default)]
    refresh_token: bool,
}

/// The device for the command, and its tokens for the client.
fn new_device(app: &AppState, user: &UserId, wish: DeviceWish) -> (NewDevice, NewTokens) {
    let tokens = NewTokens::generate(app, user, wish.refresh_token);
    let device = NewDevice {
        device_id: wish
            .device_id
            .unwrap_or_else(ganglion_accounts::usernames::random_device_id),
        display_name: wish.initial_device_display_name,
        token_hash: tokens.access_hash(),
        refresh: tokens.refresh_hash(),
    };
    (device, tokens)
}

/// Tokens for a client.
struct NewTokens {
    access: AccessToken,
    /// With how long the access token lives.
    refresh: Option<(RefreshToken, i64)>,
}

impl NewTokens {
    fn generate(app: &AppState, user: &UserId, with_refresh: bool) -> Self {
        let lifetime = app.config.accounts.access_token_lifetime_ms;
        let lifetime = i64::try_from(lifetime).unwrap_or(i64::MAX);
        Self {
            access: AccessToken::generate(&app.secret, user.as_str()),
            refresh: with_refresh.then(|| (RefreshToken::generate(), lifetime)),
        }
    }

    fn access_hash(&self) -> Bytes {
        AccessToken::hash_of(self.access.reveal()).to_vec().into()
    }

    fn refresh_hash(&self) -> Option<persister::RefreshToken> {
        let (token, lifetime_ms) = self.refresh.as_ref()?;
        Some(persister::RefreshToken {
            token_hash: RefreshToken::hash_of(token.reveal()).to_vec().into(),
            lifetime_ms: *lifetime_ms,
        })
    }

    /// Adds them to an answer.
    fn write_to(&self, answer: &mut Value) {
        answer["access_token"] = Value::from(self.access.reveal());
        if let Some((token, lifetime_ms)) = &self.refresh {
            answer["refresh_token"] = Value::from(token.reveal());
            answer["expires_in_ms"] = Value::from(*lifetime_ms);
        }
    }
}
