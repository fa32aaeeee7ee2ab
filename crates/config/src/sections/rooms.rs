//! `[rooms]`

use serde::{Deserialize, Serialize};

/// Rooms: default version.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rooms {
    /// The version of rooms created without one: `"3"` to `"12"`.
    pub default_version: String,
}

impl Default for Rooms {
    fn default() -> Self {
        Self {
            default_version: "12".to_owned(),
        }
    }
}
