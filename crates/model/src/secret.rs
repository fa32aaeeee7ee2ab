//! The server's secret and the tokens made with it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac as _};
use sha2::{Digest, Sha256};

/// The secret that all instances of one server share (from a file; 32 bytes or more).
#[derive(Clone)]
pub struct ServerSecret(Vec<u8>);

impl ServerSecret {
    /// Wraps the bytes of the secret file.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// A keyed hash (HMAC-SHA-256) of `message` for one `purpose`.
    #[must_use]
    pub fn mac(&self, purpose: &str, message: &[u8]) -> [u8; 32] {
        // The purpose is length-prefixed so that no two pairs of purpose and message are one text.
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("any key length");
        mac.update(&(purpose.len() as u64).to_be_bytes());
        mac.update(purpose.as_bytes());
        mac.update(message);
        mac.finalize().into_bytes().into()
    }
}

impl std::fmt::Debug for ServerSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ServerSecret(…)")
    }
}

/// An access token as the client holds it: `gst_<hint>_<random>`.
///
/// The hint is a keyed hash of the user id: the balancer sends all devices of a user to one
/// client-reader by it, which keeps caches warm and means nothing else.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessToken(String);

impl AccessToken {
    /// A new token for `user_id`, with 192 random bits.
    #[must_use]
    pub fn generate(secret: &ServerSecret, user_id: &str) -> Self {
        let mac = secret.mac("token-hint", user_id.as_bytes());
        let hint: String = mac
            .iter()
            .take(4)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let random = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 24]>());
        Self(format!("gst_{hint}_{random}"))
    }

    /// What the database holds instead of the token.
    #[must_use]
    pub fn hash_of(token: &str) -> [u8; 32] {
        Sha256::digest(token.as_bytes()).into()
    }

    /// To hand to the client; never to a log.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AccessToken(…)")
    }
}

/// A token that is nothing but random.
macro_rules! random_token {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq)]
        pub struct $name(String);

        impl $name {
            /// A new token with 192 random bits.
            #[must_use]
            pub fn generate() -> Self {
                let random = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 24]>());
                Self(format!(concat!($prefix, "_{}"), random))
            }

            /// What the database holds instead of the token.
            #[must_use]
            pub fn hash_of(token: &str) -> [u8; 32] {
                Sha256::digest(token.as_bytes()).into()
            }

            /// To hand to the client; never to a log.
            #[must_use]
            pub fn reveal(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($name), "(…)"))
            }
        }
    };
}

random_token!(
    /// A refresh token as the client holds it: `gsr_<random>`.
    RefreshToken,
    "gsr"
);
random_token!(
    /// A login token as the client holds it: `glt_<random>`.
    LoginToken,
    "glt"
);
