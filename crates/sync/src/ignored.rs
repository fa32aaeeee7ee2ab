//! Whom the users who sync here ignore (client-server API, "Ignoring Users").

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ganglion_model::UserNid;
use ganglion_rooms::{Rooms, View, Viewer};
use ganglion_storage::StorageError;
use moka::sync::Cache;

/// The type of the account data.
pub(crate) const TYPE: &str = "m.ignored_user_list";
/// Users whose list is remembered.
const REMEMBERED: u64 = 50_000;

/// The lists, kept up to date by the log.
pub(crate) struct Ignored {
    lists: Cache<UserNid, Arc<Vec<String>>>,
    /// Counts the changes: what was read before one is not remembered.
    era: AtomicU64,
}

impl Ignored {
    pub(crate) fn new() -> Self {
        Self {
            lists: Cache::new(REMEMBERED),
            era: AtomicU64::new(0),
        }
    }

    /// The log brought another list of a user.
    pub(crate) fn changed(&self, user: UserNid) {
        self.era.fetch_add(1, Ordering::AcqRel);
        self.lists.invalidate(&user);
    }

    /// The log was not followed without a gap.
    pub(crate) fn forget_all(&self) {
        self.era.fetch_add(1, Ordering::AcqRel);
        self.lists.invalidate_all();
    }

    /// A user's list as the view shows it, or a later one.
    pub(crate) async fn get(
        &self,
        rooms: &Rooms,
        view: &mut View,
        viewer: Viewer<'_>,
    ) -> Result<Arc<Vec<String>>, StorageError> {
        let user = viewer.user_nid;
        if let Some(list) = self.lists.get(&user) {
            return Ok(list);
        }
        let era = self.era.load(Ordering::Acquire);
        let list = Arc::new(rooms.ignored_users(view, viewer).await?);
        if era == self.era.load(Ordering::Acquire) {
            self.lists.insert(user, list.clone());
        }
        Ok(list)
    }
}
