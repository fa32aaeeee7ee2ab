//! Publishing committed batches, behind the reply and off the line.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ganglion_model::Shard;
use ganglion_proto::log::Batch;
use ganglion_stream::{StreamError, Streams};
use prost::Message as _;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::metrics;
use crate::backoff::Backoff;

/// How long a shard that was given up still tries to publish its last batches.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The bounded queue between a shard's line and its publishing task: when it is full the oldest
/// batch is dropped, for readers find it in PostgreSQL.
pub(super) struct Publisher {
    queue: Mutex<Queue>,
    wake: Notify,
    limit: usize,
}

#[derive(Default)]
struct Queue {
    batches: VecDeque<Batch>,
    closed_at: Option<Instant>,
}

impl Publisher {
    pub(super) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            queue: Mutex::default(),
            wake: Notify::new(),
            limit: limit.max(1),
        })
    }

    pub(super) fn push(&self, batch: Batch) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if queue.batches.len() >= self.limit {
            queue.batches.pop_front();
            metrics::PUBLISH_DROPPED.increment(1);
        }
        queue.batches.push_back(batch);
        drop(queue);
        self.wake.notify_one();
    }

    /// No batch will come any more.
    pub(super) fn close(&self) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.closed_at = Some(Instant::now());
        drop(queue);
        self.wake.notify_one();
    }

    /// Publishes until it is closed and empty, or closed for a while.
    pub(super) async fn run(self: Arc<Self>, streams: Streams, shard: Shard) {
        let mut backoff = Backoff::new(Duration::from_millis(20), Duration::from_secs(1));
        loop {
            let (batch, closed_at) = self.take();
            let Some(batch) = batch else {
                if closed_at.is_some() {
                    return;
                }
                self.wake.notified().await;
                continue;
            };
            let bytes = batch.encode_to_vec();
            loop {
                let result = streams
                    .publish(shard, batch.generation, batch.last_pos, &bytes)
                    .await;
                let Err(error) = result else {
                    backoff.reset();
                    break;
                };
                tracing::debug!(error = %error, "a batch could not be published");
                if matches!(error, StreamError::Refused(_)) {
                    metrics::PUBLISH_DROPPED.increment(1);
                    break;
                }
                if self.has_said_enough() {
                    self.drop_all();
                    return;
                }
                tokio::time::sleep(backoff.delay()).await;
            }
        }
    }

    fn take(&self) -> (Option<Batch>, Option<Instant>) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        (queue.batches.pop_front(), queue.closed_at)
    }

    fn has_said_enough(&self) -> bool {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.closed_at.is_some_and(|at| at.elapsed() > LAST_WORDS)
    }

    fn drop_all(&self) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        metrics::PUBLISH_DROPPED.increment(queue.batches.len() as u64 + 1);
        queue.batches.clear();
    }
}
