//! `[secrets]`

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Files with secrets. Every role needs `server_secret_file`, only the event-persister needs the
/// signing key.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Secrets {
    /// 32 or more random bytes, the same on every instance.
    pub server_secret_file: PathBuf,
    /// The server's ed25519 key: one line `ed25519 <version> <unpadded base64 of the 32-byte seed>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing_key_file: Option<PathBuf>,
}
