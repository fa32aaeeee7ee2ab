//! Removes what is kept of the owned shards' batches once nobody will ask for it.

use std::time::Duration;

use ganglion_model::{Clock, Shard};
use ganglion_storage::{Database, StorageError, retention};
use ganglion_telemetry::metrics::Counter;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

static REMOVED: Counter = Counter::new(
    "ganglion_retention_removed_total",
    "Rows removed because of their age, by table: commands, batches.",
);

/// Rows removed in one statement.
const AT_ONCE: i64 = 5_000;
/// The longest time between two rounds.
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

/// Goes round the shards that this process owns.
pub struct Retention {
    /// The primary is used.
    pub db: Database,
    /// The time.
    pub clock: Clock,
    /// `cluster.retention_ms`.
    pub keep: Duration,
    /// The owned shards, of each family.
    pub owned: Vec<watch::Receiver<Vec<Shard>>>,
}

impl Retention {
    /// Works until `stop` is cancelled.
    pub async fn run(self, stop: CancellationToken) {
        let pause = (self.keep / 24).clamp(Duration::from_secs(1), LONGEST_PAUSE);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
            let owned = self.owned.iter();
            let shards: Vec<Shard> = owned.flat_map(|owned| owned.borrow().clone()).collect();
            for shard in shards {
                if stop.is_cancelled() {
                    return;
                }
                if let Err(error) = self.remove(shard).await {
                    tracing::warn!(error = %error, %shard, "old rows could not be removed");
                }
            }
        }
    }

    async fn remove(&self, shard: Shard) -> Result<(), StorageError> {
        let keep = i64::try_from(self.keep.as_millis()).unwrap_or(i64::MAX);
        let before = self.clock.now_ms().saturating_sub(keep);
        let primary = self.db.primary().await?;
        let commands = retention::remove_commands(&primary, shard, before, AT_ONCE).await?;
        let batches = retention::remove_batches(&primary, shard, before, AT_ONCE).await?;
        REMOVED.with(&[("table", "commands")]).increment(commands);
        REMOVED.with(&[("table", "batches")]).increment(batches);
        Ok(())
    }
}
