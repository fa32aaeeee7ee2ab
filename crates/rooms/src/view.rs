//! One request's moment in the database.

use ganglion_storage::database::Snapshot;
use ganglion_storage::{Barrier, Database, StorageError};

/// A read-only view that is opened when something is first read from it.
pub struct View {
    db: Database,
    barrier: Option<Barrier>,
    snapshot: Option<Snapshot>,
}

impl View {
    /// A view at or behind `barrier`; without one, at or behind the moment it is opened.
    #[must_use]
    pub fn new(db: &Database, barrier: Option<Barrier>) -> Self {
        Self {
            db: db.clone(),
            barrier,
            snapshot: None,
        }
    }

    /// The open snapshot.
    ///
    /// # Errors
    /// If no server can be reached.
    pub async fn snapshot(&mut self) -> Result<&Snapshot, StorageError> {
        let snapshot = match self.snapshot.take() {
            Some(snapshot) => snapshot,
            None => {
                let barrier = match self.barrier.take() {
                    Some(barrier) => barrier,
                    None => self.db.barrier().await?,
                };
                self.db.read(&barrier).await?
            }
        };
        Ok(self.snapshot.insert(snapshot))
    }
}
