//! The numbers of strings, cached: a string's number never changes.

use std::collections::HashMap;
use std::hash::Hash;

use ganglion_model::{SlotNid, TypeNid, UserNid};
use ganglion_storage::{Database, StorageError, intern};
use moka::sync::Cache;

/// Strings of each kind that one process remembers.
const REMEMBERED: u64 = 100_000;

/// A place in a room's state: event type and state key.
pub(crate) type StateKey = (String, String);

/// Users, event types and state slots of one process.
pub(crate) struct Words {
    db: Database,
    users: Cache<String, UserNid>,
    types: Cache<String, TypeNid>,
    slots: Cache<StateKey, SlotNid>,
}

impl Words {
    pub(crate) fn new(db: Database) -> Self {
        Self {
            db,
            users: Cache::new(REMEMBERED),
            types: Cache::new(REMEMBERED),
            slots: Cache::new(REMEMBERED),
        }
    }

    /// The number of a user, given now if it has none.
    ///
    /// # Errors
    /// If the primary does not answer.
    pub(crate) async fn user(&self, user_id: &str) -> Result<UserNid, StorageError> {
        if let Some(nid) = self.users.get(user_id) {
            return Ok(nid);
        }
        let wanted = [user_id.to_owned()];
        let found = intern::intern_users(&self.db.primary().await?, &wanted).await?;
        remember(&self.users, found, &wanted[0])
    }

    /// The number of an event type, given now if it has none.
    ///
    /// # Errors
    /// If the primary does not answer.
    pub(crate) async fn event_type(&self, event_type: &str) -> Result<TypeNid, StorageError> {
        if let Some(nid) = self.types.get(event_type) {
            return Ok(nid);
        }
        let wanted = [event_type.to_owned()];
        let found = intern::intern_types(&self.db.primary().await?, &wanted).await?;
        remember(&self.types, found, &wanted[0])
    }

    /// The numbers of those state slots that have one; a slot without a number is empty in every room.
    ///
    /// # Errors
    /// If the primary does not answer.
    pub(crate) async fn find_slots(
        &self,
        keys: impl IntoIterator<Item = StateKey>,
    ) -> Result<HashMap<StateKey, SlotNid>, StorageError> {
        let mut known = HashMap::new();
        let mut missing = Vec::new();
        for key in keys {
            match self.slots.get(&key) {
                Some(nid) => {
                    known.insert(key, nid);
                }
                None => missing.push(key),
            }
        }
        if !missing.is_empty() {
            for (key, nid) in intern::find_slots(&self.db.primary().await?, &missing).await? {
                self.slots.insert(key.clone(), nid);
                known.insert(key, nid);
            }
        }
        Ok(known)
    }

    /// The number of a state slot, given now if it has none.
    ///
    /// # Errors
    /// If the primary does not answer.
    pub(crate) async fn slot(&self, key: &StateKey) -> Result<SlotNid, StorageError> {
        if let Some(nid) = self.slots.get(key) {
            return Ok(nid);
        }
        let wanted = [key.clone()];
        let found = intern::intern_slots(&self.db.primary().await?, &wanted).await?;
        remember(&self.slots, found, key)
    }
}

fn remember<
    K: Eq + Hash + Clone + Send + Sync + std::fmt::Debug + 'static,
    N: Copy + Send + Sync + 'static,
>(
    cache: &Cache<K, N>,
    found: Vec<(K, N)>,
    wanted: &K,
) -> Result<N, StorageError> {
    let mut answer = None;
    for (word, nid) in found {
        if word == *wanted {
            answer = Some(nid);
        }
        cache.insert(word, nid);
    }
    answer.ok_or_else(|| StorageError::inconsistent(format!("no number for {wanted:?}")))
}
