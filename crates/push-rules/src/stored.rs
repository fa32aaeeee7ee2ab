//! A user's push rules: what is stored, or the server's default.

use ruma::UserId;
use ruma::push::Ruleset;
use serde::{Deserialize, Serialize};

/// The type of account data that holds them.
pub const TYPE: &str = "m.push_rules";

/// The content of `m.push_rules`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Content {
    /// The only scope there is.
    pub global: Ruleset,
}

/// The rules of `user`, whose `m.push_rules` account data is `stored`, if it is set.
///
/// Server-default rules are those of today, with what the user changed in them.
#[must_use]
pub fn rules(stored: Option<&[u8]>, user: &UserId) -> Ruleset {
    let default = Ruleset::server_default(user);
    let Some(stored) = stored else {
        return default;
    };
    match serde_json::from_slice::<Content>(stored) {
        Ok(content) => {
            let mut rules = content.global;
            rules.update_with_server_default(default);
            rules
        }
        Err(error) => {
            tracing::error!(error = %error, user.id = %user, "stored push rules are no push rules");
            default
        }
    }
}

/// The content of the `m.push_rules` event that a client reads.
#[must_use]
pub fn content(stored: Option<&[u8]>, user: &UserId) -> Vec<u8> {
    let global = rules(stored, user);
    serde_json::to_vec(&Content { global }).unwrap_or_default()
}
