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
#[must_use]
pub fn rules(stored: Option<&[u8]>, user: &UserId) -> Ruleset {
    let Some(stored) = stored else {
        return Ruleset::server_default(user);
    };
    serde_json::from_slice::<Content>(stored).map_or_else(
        |error| {
            tracing::error!(error = %error, user.id = %user, "stored push rules are no push rules");
            Ruleset::server_default(user)
        },
        |content| content.global,
    )
}

/// The content of the `m.push_rules` event that a client reads.
#[must_use]
pub fn content(stored: Option<Vec<u8>>, user: &UserId) -> Vec<u8> {
    stored.unwrap_or_else(|| {
        let default = Content {
            global: Ruleset::server_default(user),
        };
        serde_json::to_vec(&default).unwrap_or_default()
    })
}
