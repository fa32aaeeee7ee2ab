//! Whom users ignore (client-server API, "Ignoring Users"), in memory.
//!
//! A list is read once from the database and then kept up to date by the log of its user.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use ganglion_model::{Position, Shard, UserNid};
use ganglion_storage::{StorageError, accounts};
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::client_event::Viewer;
use crate::event::RoomEvent;
use crate::room::Rooms;
use crate::view::View;

/// The account data that holds the list.
pub const TYPE: &str = "m.ignored_user_list";
/// What all lists in memory weigh at most, in bytes.
const CAPACITY: u64 = 32 * 1024 * 1024;

/// Whom one user ignores.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ignored {
    /// In order.
    users: Vec<String>,
}

impl Ignored {
    /// From the content of the account data; what is not such a list ignores nobody.
    #[must_use]
    pub fn parse(content: &[u8]) -> Self {
        #[derive(Deserialize)]
        struct List {
            ignored_users: BTreeMap<String, IgnoredAny>,
        }
        let users = serde_json::from_slice::<List>(content).map(|list| list.ignored_users);
        // No user is called so, and PostgreSQL could not be asked.
        let users = users.unwrap_or_default().into_keys();
        Self {
            users: users.filter(|user| !user.contains('\0')).collect(),
        }
    }

    /// Whether a user is among them.
    #[must_use]
    pub fn has(&self, user: &str) -> bool {
        self.users
            .binary_search_by(|known| known.as_str().cmp(user))
            .is_ok()
    }

    /// Whether an event is kept from the user: state events are sent all the same.
    #[must_use]
    pub fn hides(&self, event: &RoomEvent) -> bool {
        event.state_key.is_none() && self.has(&event.sender)
    }

    /// All of them, in order.
    #[must_use]
    pub fn users(&self) -> &[String] {
        &self.users
    }

    /// Nobody can ignore oneself.
    fn without(&self, user: &str) -> Self {
        let users = self.users.iter().filter(|ignored| *ignored != user);
        Self {
            users: users.cloned().collect(),
        }
    }
}

/// The lists of one process.
pub(crate) struct Lists {
    /// With the position of the user's log at which the list was set; 0 if it never was.
    lists: Cache<UserNid, (Position, Arc<Ignored>)>,
    /// By shard: up to where its log was applied to `lists`.
    applied: Vec<AtomicI64>,
    /// By shard: from where on it was applied without a gap.
    from: Vec<AtomicI64>,
}

impl Lists {
    pub(crate) fn new() -> Self {
        let zeros = || Shard::followed().map(|_shard| AtomicI64::new(0)).collect();
        let lists = Cache::builder()
            .eviction_policy(EvictionPolicy::lru())
            .max_capacity(CAPACITY)
            .weigher(|_user, (_, list): &(Position, Arc<Ignored>)| {
                let bytes: usize = list.users.iter().map(|user| user.len() + 32).sum();
                u32::try_from(128 + bytes).unwrap_or(u32::MAX)
            })
            .build();
        Self {
            lists,
            applied: zeros(),
            from: zeros(),
        }
    }

    /// The list of a user, if all of the log up to `at` was applied.
    fn get(&self, shard: Shard, user: UserNid, at: Position) -> Option<Arc<Ignored>> {
        (load(&self.applied, shard) >= at)
            .then(|| self.lists.get(&user))
            .flatten()
            .map(|(_, list)| list)
    }

    /// Remembers a list unless a newer one is there.
    fn set(&self, user: UserNid, pos: Position, list: &Arc<Ignored>) {
        self.lists.entry(user).and_upsert_with(|known| match known {
            Some(known) if known.value().0 > pos => known.into_value(),
            _ => (pos, list.clone()),
        });
    }
}

fn load(positions: &[AtomicI64], shard: Shard) -> Position {
    let position = positions.get(shard.index());
    position.map_or(0, |position| position.load(Ordering::Acquire))
}

fn store(positions: &[AtomicI64], shard: Shard, pos: Position) {
    if let Some(position) = positions.get(shard.index()) {
        position.store(pos, Ordering::Release);
    }
}

impl Rooms {
    /// Whom a user ignores, as of `viewer.own_log` or later.
    ///
    /// # Errors
    /// As [`View::snapshot`].
    pub async fn ignored(
        &self,
        view: &mut View,
        viewer: Viewer<'_>,
    ) -> Result<Arc<Ignored>, StorageError> {
        let list = self.ignored_as_set(view, viewer).await?;
        let own = viewer.user_id.as_str();
        if list.has(own) {
            return Ok(Arc::new(list.without(own)));
        }
        Ok(list)
    }

    async fn ignored_as_set(
        &self,
        view: &mut View,
        viewer: Viewer<'_>,
    ) -> Result<Arc<Ignored>, StorageError> {
        let lists = self.ignored_lists();
        let (shard, user) = (Shard::of_user(viewer.user_id), viewer.user_nid);
        if let Some(list) = lists.get(shard, user, viewer.own_log) {
            return Ok(list);
        }
        let keys = [(user, None, TYPE.to_owned())];
        let snapshot = view.snapshot().await?;
        let found = accounts::pieces_of_account_data(snapshot, shard, &keys).await?;
        let (content, pos) = found.into_values().next().unwrap_or_default();
        let list = Arc::new(Ignored::parse(&content));
        // A view may be older than what was applied since: the list's position tells. Only what was
        // missed in a gap has none.
        if viewer.own_log >= load(&lists.from, shard) {
            lists.set(user, pos, &list);
            if viewer.own_log < load(&lists.from, shard) {
                lists.lists.invalidate(&user);
            }
        }
        Ok(list)
    }

    /// A user has set the list: the log's followers call it.
    pub fn ignored_set(&self, user: UserNid, pos: Position, content: &[u8]) {
        self.ignored_lists()
            .set(user, pos, &Arc::new(Ignored::parse(content)));
    }

    /// The log of a shard has been applied up to a position: the followers call it before they show it.
    pub fn ignored_applied(&self, shard: Shard, pos: Position) {
        store(&self.ignored_lists().applied, shard, pos);
    }

    /// Changes of the lists may have been missed up to a position.
    pub fn ignored_missed(&self, shard: Shard, head: Position) {
        let lists = self.ignored_lists();
        store(&lists.from, shard, head);
        lists.lists.invalidate_all();
        store(&lists.applied, shard, head);
    }
}

#[cfg(test)]
mod tests;
