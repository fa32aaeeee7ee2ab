//! Everything a Matrix HTTP endpoint needs, without knowing what it does.
//!
//! To add an endpoint: a handler `async fn(State<S>, Caller, Ruma<Request>) -> Result<RumaBody<Response>,
//! ApiError>` in a file of its own, and one line in its group's `routes`.
#![warn(missing_docs)]
#![warn(clippy::future_not_send)]

mod address;
mod auth;
mod error;
mod layers;
mod routes;
mod ruma_body;
mod serve;
mod unread;

pub use address::ClientAddress;
pub use auth::{Authenticate, bearer_token};
pub use error::ApiError;
pub use layers::{Limits, layers};
pub use routes::Routes;
pub use ruma_body::{BodyLimit, JsonBytes, RawRequest, Ruma, RumaBody, path_arguments};
pub use serve::serve;
