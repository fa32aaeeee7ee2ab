//! Fresh numbers for events and snapshots, taken from the primary in blocks.

use ganglion_storage::{Database, StorageError, intern};
use tokio::sync::Mutex;

/// Numbers taken at once; what is left of a block at the end of the process is never used.
const BLOCK: i64 = 4_096;

/// The numbers of one process.
#[derive(Debug, Default)]
pub(crate) struct Ids(Mutex<Block>);

#[derive(Debug, Default)]
struct Block {
    next: i64,
    end: i64,
}

impl Ids {
    /// One fresh number.
    ///
    /// # Errors
    /// If a new block is needed and the primary does not answer.
    pub(crate) async fn next(&self, db: &Database) -> Result<i64, StorageError> {
        let mut block = self.0.lock().await;
        if block.next == block.end {
            block.next = intern::allocate(&db.primary().await?, BLOCK).await?;
            block.end = block.next + BLOCK;
        }
        let number = block.next;
        block.next += 1;
        Ok(number)
    }
}
