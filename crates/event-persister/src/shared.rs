//! What all shard writers of one process share.

use ganglion_config::Limits;
use ganglion_event_rules::SigningKey;
use ganglion_model::Clock;
use ganglion_storage::{Database, StorageError};
use ruma::OwnedServerName;

use crate::ids::Ids;
use crate::words::Words;

/// Shared by the writers of every shard.
pub(crate) struct Shared {
    pub(crate) db: Database,
    pub(crate) words: Words,
    pub(crate) ids: Ids,
    pub(crate) server_name: OwnedServerName,
    pub(crate) signing_key: SigningKey,
    pub(crate) limits: Limits,
    pub(crate) clock: Clock,
    pub(crate) default_rules: ganglion_push_rules::DefaultRules,
}

impl Shared {
    /// A fresh number for an event or a snapshot.
    ///
    /// # Errors
    /// If a new block is needed and the primary does not answer.
    pub(crate) async fn next_id(&self) -> Result<i64, StorageError> {
        self.ids.next(&self.db).await
    }
}
