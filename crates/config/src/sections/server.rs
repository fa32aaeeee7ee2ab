//! `[server]`

use serde::{Deserialize, Serialize};

/// Who this server is.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// The name in user ids and room aliases; can never be changed.
    pub name: String,
    /// The address clients reach, for `/.well-known/matrix/client`, e.g. `https://matrix.example.org`.
    pub public_url: String,
}
