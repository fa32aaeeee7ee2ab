//! `GET /_matrix/client/v3/login`

use axum::extract::State;
use ganglion_http_kit::RumaBody;
use ruma::api::client::session::get_login_types::v3::{
    LoginType, PasswordLoginType, Response, TokenLoginType,
};

use crate::state::AppState;

/// How one can log in.
pub(crate) async fn get(State(app): State<AppState>) -> RumaBody<Response> {
    let mut flows = vec![LoginType::Password(PasswordLoginType::new())];
    if app.config.accounts.login_tokens {
        let mut token = TokenLoginType::new();
        token.get_login_token = true;
        flows.push(LoginType::Token(token));
    }
    RumaBody(Response::new(flows))
}
