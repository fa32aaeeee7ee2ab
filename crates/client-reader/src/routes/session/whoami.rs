//! `GET /_matrix/client/v3/account/whoami`

use ganglion_http_kit::RumaBody;
use ruma::api::client::account::whoami::v3::Response;

use crate::caller::Caller;

/// Whose the access token is.
pub(crate) async fn get(caller: Caller) -> RumaBody<Response> {
    let mut response = Response::new(caller.user_id, false);
    response.device_id = Some(caller.device_id);
    RumaBody(response)
}
