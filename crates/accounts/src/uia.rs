//! Sessions of user-interactive authentication, without memory: any instance continues what
//! another began.
//!
//! Every flow offered so far has one stage, so a session need not remember which are completed.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ganglion_model::ServerSecret;

/// How long a session may take.
const LIFETIME_MS: i64 = 15 * 60 * 1_000;
/// Bytes: when it ends, then random ones, then the authentication code.
const EXPIRY: usize = 8;
const RANDOM: usize = 12;
const CODE: usize = 16;

/// Makes and recognises sessions of one purpose, e.g. `register`.
#[derive(Clone)]
pub struct Sessions {
    secret: ServerSecret,
    purpose: String,
}

impl Sessions {
    /// A session of one purpose is none of another.
    #[must_use]
    pub fn new(secret: ServerSecret, purpose: &str) -> Self {
        Self {
            secret,
            purpose: format!("uia/{purpose}"),
        }
    }

    /// A new session, opaque to the client.
    #[must_use]
    pub fn begin(&self, now_ms: i64) -> String {
        let mut bytes = Vec::with_capacity(EXPIRY + RANDOM + CODE);
        bytes.extend(now_ms.saturating_add(LIFETIME_MS).to_be_bytes());
        bytes.extend(rand::random::<[u8; RANDOM]>());
        let code = self.code(&bytes);
        bytes.extend(code);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Whether the text is a session that we began and that has not ended.
    #[must_use]
    pub fn is_live(&self, session: &str, now_ms: i64) -> bool {
        let Ok(bytes) = URL_SAFE_NO_PAD.decode(session) else {
            return false;
        };
        let Some((body, code)) = bytes.split_at_checked(EXPIRY + RANDOM) else {
            return false;
        };
        let Some(expiry) = body.first_chunk::<EXPIRY>() else {
            return false;
        };
        same(code, &self.code(body)) && now_ms < i64::from_be_bytes(*expiry)
    }

    fn code(&self, body: &[u8]) -> [u8; CODE] {
        let mut code = [0; CODE];
        for (to, from) in code.iter_mut().zip(self.secret.mac(&self.purpose, body)) {
            *to = from;
        }
        code
    }
}

/// Compares without telling by its time how much is the same.
fn same(left: &[u8], right: &[u8]) -> bool {
    left.len() == right.len() && left.iter().zip(right).fold(0, |all, (l, r)| all | (l ^ r)) == 0
}

#[cfg(test)]
mod tests;
