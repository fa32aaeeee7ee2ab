//! The identity of a command, which makes every retry safe to repeat.

use sha2::{Digest, Sha256};

/// Identifies a command for ever: the same id sent twice is executed once.
///
/// It is the first 16 bytes of a SHA-256 over the parts that name the command, so that it has one
/// size in the database whatever a client chose as its transaction id.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CommandId([u8; 16]);

impl CommandId {
    /// From the parts that name a command, e.g. user, device, endpoint, room, transaction id.
    ///
    /// Parts are length-prefixed: `["ab", "c"]` and `["a", "bc"]` differ.
    #[must_use]
    pub fn of(parts: &[&str]) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        let digest = hash.finalize();
        let mut id = [0; 16];
        for (to, from) in id.iter_mut().zip(digest) {
            *to = from;
        }
        Self(id)
    }

    /// A fresh id, for a command that no client can repeat by name.
    #[must_use]
    pub fn random() -> Self {
        Self(rand::random())
    }

    /// From the wire or the database; `None` unless it is 16 bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// For the wire and the database.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl std::fmt::Debug for CommandId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for byte in self.0 {
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}
