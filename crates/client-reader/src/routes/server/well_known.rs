//! `GET /.well-known/matrix/client`

use axum::extract::State;
use ganglion_http_kit::RumaBody;
use ruma::api::client::discovery::discover_homeserver::{HomeserverInfo, Response};

use crate::state::AppState;

/// Where clients reach this server.
pub(crate) async fn get(State(app): State<AppState>) -> RumaBody<Response> {
    let base_url = app.config.server.public_url.clone();
    RumaBody(Response::new(HomeserverInfo::new(base_url)))
}
