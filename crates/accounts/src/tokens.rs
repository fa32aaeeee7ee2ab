//! Access tokens that this process knows, and until when it may believe them.
//!
//! What is known of a token was read from the database at a position of its user's log. It holds as
//! long as no later entry of that log ends tokens of the user; [`TokenCache`] learns of those from
//! the follower. So nothing need be found and removed when tokens end, and a read that overlaps
//! with such an entry does no harm: what it remembers is already too old.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ganglion_cluster::{Apply, LogBatch};
use ganglion_model::{Position, Shard, ShardFamily, UserNid};
use ganglion_proto::log::TokenRevocation;
use ganglion_storage::log::kind;
use ganglion_telemetry::metrics::Counter;
use moka::sync::Cache;
use prost::Message as _;
use ruma::{OwnedDeviceId, OwnedUserId};

static REVOCATIONS: Counter = Counter::new(
    "ganglion_accounts_token_revocations_total",
    "Log entries that ended access tokens, seen by this process.",
);

/// Users per shard whose last revocation is remembered one by one.
const REMEMBERED_PER_SHARD: usize = 4_096;

/// What kind of account a user has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserKind {
    /// A person.
    Person,
    /// A person who may use the admin API.
    Administrator,
    /// A guest (client-server API, "Guest access").
    Guest,
    /// An application service's sender.
    ApplicationService,
}

impl UserKind {
    /// From the number in the database; `None` for an unknown one.
    #[must_use]
    pub fn from_i16(number: i16) -> Option<Self> {
        Some(match number {
            0 => Self::Person,
            1 => Self::Administrator,
            2 => Self::Guest,
            3 => Self::ApplicationService,
            _ => return None,
        })
    }
}

/// Who makes a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The user's id.
    pub user_id: OwnedUserId,
    /// The user's number.
    pub user_nid: UserNid,
    /// The device of the access token.
    pub device_id: OwnedDeviceId,
    /// What kind of account it is.
    pub kind: UserKind,
    /// The account is locked: nothing is served but a logout.
    pub locked: bool,
    /// The account is suspended: nothing is served that others would see, but
    /// what comes with reading.
    pub suspended: bool,
    /// True if the token came of a refresh and nobody is known to have used it before: its use ends
    /// the tokens before it.
    pub first_use: bool,
}

/// What was read about a token.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) identity: Identity,
    pub(crate) shard: Shard,
    pub(crate) expires_at: Option<i64>,
    /// The position of the user's log that the read had seen.
    pub(crate) read_at: Position,
    /// [`TokenCache::era`] before the read.
    pub(crate) era: u64,
}

/// Tokens by their hash; what it knows of the ends of tokens comes through [`Apply`].
pub struct TokenCache {
    known: Cache<[u8; 32], Arc<Known>>,
    shards: Vec<Mutex<Ended>>,
    era: AtomicU64,
}

/// The last position at which tokens ended.
#[derive(Default)]
struct Ended {
    /// For every user.
    floor: Position,
    /// For some users, later than that.
    users: HashMap<UserNid, Position>,
}

impl TokenCache {
    /// Remembers up to `capacity` tokens.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self {
            known: Cache::new(u64::try_from(capacity).unwrap_or(u64::MAX)),
            shards: Shard::followed().map(|_| Mutex::default()).collect(),
            era: AtomicU64::new(0),
        }
    }

    /// Counts the times a log began anew: what was read before is forgotten.
    pub(crate) fn era(&self) -> u64 {
        self.era.load(Ordering::Acquire)
    }

    pub(crate) fn get(&self, token_hash: &[u8; 32]) -> Option<Arc<Known>> {
        self.known.get(token_hash)
    }

    pub(crate) fn insert(&self, token_hash: [u8; 32], known: Known) {
        self.known.insert(token_hash, Arc::new(known));
    }

    /// Whether what is known still holds, as far as the log was applied.
    pub(crate) fn holds(&self, known: &Known) -> bool {
        let Some(ended) = self.ended(known.shard) else {
            return false;
        };
        let last = ended
            .users
            .get(&known.identity.user_nid)
            .copied()
            .unwrap_or(ended.floor);
        known.era == self.era() && known.read_at >= last
    }

    fn ended(&self, shard: Shard) -> Option<MutexGuard<'_, Ended>> {
        let ended = self.shards.get(shard.index())?;
        Some(ended.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn end(&self, shard: Shard, user: UserNid, position: Position) {
        let Some(mut ended) = self.ended(shard) else {
            return;
        };
        if ended.users.len() >= REMEMBERED_PER_SHARD && !ended.users.contains_key(&user) {
            // Everybody's tokens of this shard are read again once; nothing is believed too long.
            ended.users.clear();
            ended.floor = position;
            return;
        }
        ended.users.insert(user, position);
    }
}

impl Apply for TokenCache {
    fn apply(&self, batch: &LogBatch) {
        if batch.shard.family() != ShardFamily::User {
            return;
        }
        for entry in batch
            .entries
            .iter()
            .filter(|entry| entry.kind == kind::TOKEN_REVOCATION)
        {
            REVOCATIONS.increment(1);
            match TokenRevocation::decode(entry.payload.as_ref()) {
                Ok(revocation) => self.end(batch.shard, UserNid(revocation.user_nid), entry.pos),
                Err(error) => {
                    tracing::error!(error = %error, shard = %batch.shard, position = entry.pos,
                        "a token revocation does not decode; all tokens are read again");
                    self.era.fetch_add(1, Ordering::AcqRel);
                }
            }
        }
    }

    fn restart(&self, shard: Shard, head: Position) {
        let Some(mut ended) = self.ended(shard) else {
            return;
        };
        ended.users.clear();
        ended.floor = head;
        drop(ended);
        self.era.fetch_add(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests;
