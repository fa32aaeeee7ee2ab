//! The key a server signs with.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use ruma::signatures::Ed25519KeyPair;

/// Unpadded, as the spec writes base64; padding and stray last bits (the spec's own test key has
/// some) are forgiven when read.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// PKCS#8 around a bare ed25519 seed (RFC 8410, section 7).
const DER_PREFIX: [u8; 16] = [
    0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20,
];

/// Why a key file cannot be used; never holds a part of the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not one line of three words.
    #[error("a signing key is one line: ed25519 <version> <base64 seed>")]
    Line,
    /// Another algorithm.
    #[error("the signing key is not of the algorithm ed25519")]
    Algorithm,
    /// The key's version is not made of letters, digits and underscores.
    #[error("the version of a signing key is made of letters, digits and underscores")]
    Version,
    /// The seed is not 32 bytes of base64.
    #[error("the seed of a signing key is 32 bytes in base64")]
    Seed,
}

/// An ed25519 key with its version.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    seed: [u8; 32],
}

impl SigningKey {
    /// From 32 random bytes and a version such as `a_1`.
    pub fn from_seed(version: &str, seed: [u8; 32]) -> Result<Self, KeyError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if version.is_empty() || version.len() > 64 || !version.bytes().all(plain) {
            return Err(KeyError::Version);
        }
        let document = [DER_PREFIX.as_slice(), &seed].concat();
        let pair = Ed25519KeyPair::from_der(&document, version.to_owned());
        Ok(Self {
            pair: pair.ok().ok_or(KeyError::Seed)?,
            seed,
        })
    }

    /// From the key file's line `ed25519 <version> <unpadded base64 seed>`.
    pub fn parse(line: &str) -> Result<Self, KeyError> {
        let mut words = line.split_ascii_whitespace();
        let (Some(algorithm), Some(version), Some(seed), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(KeyError::Line);
        };
        if algorithm != "ed25519" {
            return Err(KeyError::Algorithm);
        }
        let seed = BASE64
            .decode(seed)
            .ok()
            .and_then(|seed| seed.try_into().ok());
        Self::from_seed(version, seed.ok_or(KeyError::Seed)?)
    }

    /// The line for the key file: a secret.
    #[must_use]
    pub fn to_secret_line(&self) -> String {
        format!(
            "ed25519 {} {}",
            self.pair.version(),
            BASE64.encode(self.seed)
        )
    }

    /// `ed25519:<version>`.
    #[must_use]
    pub fn key_id(&self) -> String {
        format!("ed25519:{}", self.pair.version())
    }

    /// The public key in unpadded base64, as `/_matrix/key/v2/server` shows it.
    #[must_use]
    pub fn public_base64(&self) -> String {
        BASE64.encode(self.pair.public_key())
    }

    /// For ruma's signing functions.
    #[must_use]
    pub fn pair(&self) -> &Ed25519KeyPair {
        &self.pair
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SigningKey({})", self.key_id())
    }
}

#[cfg(test)]
mod tests;
