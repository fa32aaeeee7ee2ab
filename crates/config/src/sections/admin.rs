//! `[admin]`

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The admin port: `/live`, `/ready`, `/metrics`, `/log`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Admin {
    /// Where it listens; never expose it to the public.
    pub listen: SocketAddr,
    /// If set, the process writes its bound addresses there as JSON when it is ready to be reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address_file: Option<PathBuf>,
}

impl Default for Admin {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            address_file: None,
        }
    }
}
