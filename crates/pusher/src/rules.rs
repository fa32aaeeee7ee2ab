//! The push rules of users who have changed theirs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ganglion_cluster::{Apply, LogBatch};
use ganglion_model::{Position, Shard, ShardFamily, UserNid};
use ganglion_proto::log;
use ganglion_storage::log::kind;
use ganglion_storage::{Connection, StorageError, accounts};
use moka::sync::Cache;
use prost::Message as _;
use ruma::push::Ruleset;
use ruma::{OwnedUserId, UserId};

/// Users whose rules are remembered.
const REMEMBERED: u64 = 50_000;

/// A user with rules of their own.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) nid: UserNid,
    pub(crate) user_id: OwnedUserId,
    pub(crate) rules: Ruleset,
}

/// What is remembered; a clone is the same handle. Kept up to date by the logs.
#[derive(Clone)]
pub(crate) struct Rules(Arc<Inner>);

struct Inner {
    /// `None`: the user has no rules of their own.
    listeners: Cache<UserNid, Option<Arc<Listener>>>,
    /// Counts the users who may have made rules for the first time: then the lists of who has some
    /// are to be read again.
    newcomers: AtomicU64,
}

impl Rules {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Inner {
            listeners: Cache::new(REMEMBERED),
            newcomers: AtomicU64::new(0),
        }))
    }

    /// Changes when lists of users with rules of their own may have become too short.
    pub(crate) fn newcomers(&self) -> u64 {
        self.0.newcomers.load(Ordering::Acquire)
    }

    /// Those of some users who have rules of their own. `before` is what [`Self::newcomers`] was before
    /// the connection's snapshot was opened.
    ///
    /// # Errors
    /// If what is not remembered cannot be read.
    pub(crate) async fn of(
        &self,
        connection: &Connection,
        users: &[UserNid],
        before: u64,
    ) -> Result<Vec<Arc<Listener>>, StorageError> {
        let known = &self.0.listeners;
        let mut found = Vec::new();
        let mut missing = Vec::new();
        for user in users {
            match known.get(user) {
                Some(listener) => found.extend(listener),
                None => missing.push(*user),
            }
        }
        if missing.is_empty() {
            return Ok(found);
        }
        let mut read = Vec::new();
        for (nid, user_id, stored) in accounts::own_push_rules(connection, &missing).await? {
            let user_id = UserId::parse(&user_id)
                .map_err(|_invalid| StorageError::inconsistent(format!("users.user_id {nid:?}")))?;
            let rules = ganglion_push_rules::rules(Some(&stored), &user_id);
            read.push(Arc::new(Listener {
                nid,
                user_id,
                rules,
            }));
        }
        // What changed since is not to be remembered as it was.
        if self.newcomers() == before {
            for user in missing {
                let listener = read.iter().find(|listener| listener.nid == user).cloned();
                known.insert(user, listener);
            }
        }
        found.extend(read);
        Ok(found)
    }
}

impl Apply for Rules {
    fn apply(&self, batch: &LogBatch) {
        if batch.shard.family() != ShardFamily::User {
            return;
        }
        let data = batch
            .entries
            .iter()
            .filter(|entry| entry.kind == kind::ACCOUNT_DATA);
        for entry in data {
            let Ok(data) = log::AccountData::decode(entry.payload.clone()) else {
                continue;
            };
            if data.r#type == ganglion_push_rules::TYPE {
                self.0.newcomers.fetch_add(1, Ordering::AcqRel);
                self.0.listeners.invalidate(&UserNid(data.user_nid));
            }
        }
    }

    fn restart(&self, shard: Shard, _head: Position) {
        if shard.family() == ShardFamily::User {
            self.0.newcomers.fetch_add(1, Ordering::AcqRel);
            self.0.listeners.invalidate_all();
        }
    }
}
