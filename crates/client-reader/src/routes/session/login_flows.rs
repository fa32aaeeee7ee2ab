//! `GET /_matrix/client/v3/login`

use ganglion_http_kit::RumaBody;
use ruma::api::client::session::get_login_types::v3::{LoginType, PasswordLoginType, Response};

/// How one can log in.
pub(crate) async fn get() -> RumaBody<Response> {
    RumaBody(Response::new(vec![LoginType::Password(
        PasswordLoginType::new(),
    )]))
}
