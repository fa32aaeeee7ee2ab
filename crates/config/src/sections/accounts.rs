//! `[accounts]`

use serde::{Deserialize, Serialize};

/// Registration and login.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Accounts {
    /// `"open"` (a dummy stage), `"token"` (a registration token), or `"disabled"`.
    pub registration: String,
    /// argon2id: memory in KiB.
    pub argon2_memory_kib: u32,
    /// argon2id: passes.
    pub argon2_passes: u32,
    /// The shortest password that is taken, in characters.
    pub password_min_length: usize,
    /// How long an access token lives that can be refreshed.
    pub access_token_lifetime_ms: u64,
}

impl Default for Accounts {
    fn default() -> Self {
        Self {
            registration: "disabled".to_owned(),
            argon2_memory_kib: 19_456,
            argon2_passes: 2,
            password_min_length: 8,
            access_token_lifetime_ms: 3_600_000,
        }
    }
}
