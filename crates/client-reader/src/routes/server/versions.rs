//! `GET /_matrix/client/versions`

use ganglion_http_kit::RumaBody;
use ruma::api::client::discovery::get_supported_versions::Response;

/// The versions of the specification whose endpoints are served at their paths. What is not served
/// yet answers `M_UNRECOGNIZED`.
const VERSIONS: [&str; 17] = [
    "r0.6.1", "v1.1", "v1.2", "v1.3", "v1.4", "v1.5", "v1.6", "v1.7", "v1.8", "v1.9", "v1.10",
    "v1.11", "v1.12", "v1.13", "v1.14", "v1.15", "v1.16",
];

/// Which versions of the specification the server speaks.
pub(crate) async fn get() -> RumaBody<Response> {
    RumaBody(Response::new(VERSIONS.map(str::to_owned).to_vec()))
}
