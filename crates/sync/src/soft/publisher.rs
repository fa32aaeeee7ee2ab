//! Adding entries to a stream without anybody waiting for it.

use std::time::Duration;

use bytes::Bytes;
use ganglion_stream::SoftStream;
use prost::Message;
use tokio::sync::mpsc::{Sender, channel};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::metrics::{SOFT_ADDED, SOFT_DROPPED};

/// Entries that wait for Redis.
const QUEUE: usize = 1_000;
/// What waited longer is no longer true.
const STALE: Duration = Duration::from_secs(2);

/// Takes entries for one stream; dropped are those for which Redis has no time.
#[derive(Debug, Clone)]
pub(crate) struct Publisher {
    name: &'static str,
    queue: Sender<(Instant, Bytes)>,
}

impl Publisher {
    /// Also gives the task that adds; it ends with `stop`.
    pub(crate) fn new(
        name: &'static str,
        stream: SoftStream,
        stop: CancellationToken,
    ) -> (Self, impl Future<Output = ()> + Send) {
        let (queue, mut waiting) = channel::<(Instant, Bytes)>(QUEUE);
        let task = async move {
            loop {
                let next = tokio::select! {
                    () = stop.cancelled() => return,
                    next = waiting.recv() => next,
                };
                let Some((since, entry)) = next else { return };
                if since.elapsed() > STALE {
                    SOFT_DROPPED.with(&[("stream", name)]).increment(1);
                    continue;
                }
                match stream.add(&entry).await {
                    Ok(()) => SOFT_ADDED.with(&[("stream", name)]).increment(1),
                    Err(error) => {
                        SOFT_DROPPED.with(&[("stream", name)]).increment(1);
                        tracing::debug!(stream = name, error = %error, "an entry is dropped");
                    }
                }
            }
        };
        (Self { name, queue }, task)
    }

    /// One that drops everything.
    #[cfg(test)]
    pub(crate) fn detached(name: &'static str) -> Self {
        let (queue, _) = channel(1);
        Self { name, queue }
    }

    /// Adds an entry in a moment, or drops it.
    pub(crate) fn add(&self, entry: &impl Message) {
        let entry = Bytes::from(entry.encode_to_vec());
        if self.queue.try_send((Instant::now(), entry)).is_err() {
            SOFT_DROPPED.with(&[("stream", self.name)]).increment(1);
        }
    }
}
