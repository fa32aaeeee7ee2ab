//! Background tasks that the drain waits for.

use ganglion_telemetry::metrics::Counter;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

static FAILED: Counter = Counter::new(
    "ganglion_runtime_tasks_failed_total",
    "Background tasks that ended by a panic.",
);

/// Spawns tasks and waits for them. A clone is the same set.
#[derive(Debug, Clone)]
pub struct Tasks {
    tracker: TaskTracker,
    failed: CancellationToken,
}

impl Tasks {
    pub(crate) fn new() -> Self {
        Self {
            tracker: TaskTracker::new(),
            failed: CancellationToken::new(),
        }
    }

    /// Spawns a task without which the process cannot do its work: if it panics, the process ends
    /// with a failure, so that something starts it anew.
    pub fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let failed = self.failed.clone();
        let running = tokio::spawn(task);
        self.tracker.spawn(async move {
            if let Err(error) = running.await
                && error.is_panic()
            {
                FAILED.increment(1);
                tracing::error!(
                    task.name = name,
                    "a background task panicked: the process ends"
                );
                failed.cancel();
            }
        });
    }

    /// The tracker, for libraries that spawn tasks of their own.
    #[must_use]
    pub fn tracker(&self) -> &TaskTracker {
        &self.tracker
    }

    /// Completes when a task has failed.
    pub(crate) async fn failure(&self) {
        self.failed.cancelled().await;
    }

    /// Completes when all tasks have ended.
    pub(crate) async fn ended(&self) {
        self.tracker.close();
        self.tracker.wait().await;
    }
}
