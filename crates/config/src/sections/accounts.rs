//! `[accounts]`

use serde::{Deserialize, Serialize};

/// Registration and login.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a key of the file")]
pub struct Accounts {
    /// `"open"` (a dummy stage), `"token"` (a registration token), or `"disabled"`.
    pub registration: String,
    /// argon2id: memory in KiB.
    pub argon2_memory_kib: u32,
    /// argon2id: passes.
    pub argon2_passes: u32,
    /// The shortest password that is taken, in characters.
    pub password_min_length: usize,
    /// A new password needs a digit.
    pub password_require_digit: bool,
    /// A new password needs a small letter.
    pub password_require_lowercase: bool,
    /// A new password needs a capital letter.
    pub password_require_uppercase: bool,
    /// A new password needs a character that is neither letter nor digit.
    pub password_require_symbol: bool,
    /// Whether users make tokens with which another device of theirs logs in
    /// (`POST /login/get_token`).
    pub login_tokens: bool,
    /// How long such a token lives.
    pub login_token_lifetime_ms: u64,
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
            password_require_digit: false,
            password_require_lowercase: false,
            password_require_uppercase: false,
            password_require_symbol: false,
            login_tokens: false,
            login_token_lifetime_ms: 120_000,
            access_token_lifetime_ms: 3_600_000,
        }
    }
}
