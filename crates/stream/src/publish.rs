//! Adding a committed batch to its shard's stream.

use ganglion_model::{Generation, Position, Shard};
use ganglion_telemetry::metrics::Counter;
use redis::Value;

use crate::{ERRORS, StreamError, Streams};

static PUBLISHED: Counter = Counter::new(
    "ganglion_stream_published_total",
    "Batches added to the streams.",
);

/// The one field of an entry.
pub(crate) const FIELD: &str = "b";

impl Streams {
    /// Adds a batch that ends at `last`. A batch at or below the stream's last one is not added
    /// again: that is success, too.
    ///
    /// # Errors
    /// [`StreamError`]; the batch may or may not be there, and may be published again.
    pub async fn publish(
        &self,
        shard: Shard,
        generation: Generation,
        last: Position,
        batch: &[u8],
    ) -> Result<(), StreamError> {
        let result = self.add(shard, generation, last, batch).await;
        match &result {
            Ok(()) => PUBLISHED.increment(1),
            Err(_) => ERRORS.with(&[("call", "publish")]).increment(1),
        }
        result
    }

    async fn add(
        &self,
        shard: Shard,
        generation: Generation,
        last: Position,
        batch: &[u8],
    ) -> Result<(), StreamError> {
        let mut command = redis::cmd("XADD");
        command
            .arg(self.key(shard))
            .arg("MAXLEN")
            .arg("~")
            .arg(self.0.length)
            .arg(format!("{generation}-{last}"))
            .arg(FIELD)
            .arg(batch);
        let mut connection = self.manager(shard).await?;
        // The manager has deadlines of its own; this one also bounds its reconnecting.
        let answer = tokio::time::timeout(
            self.0.timeout * 2,
            command.query_async::<Value>(&mut connection),
        );
        match answer.await {
            Ok(Ok(_id)) => Ok(()),
            Ok(Err(error)) if is_repetition(&error) => Ok(()),
            Ok(Err(error)) => Err(error.into()),
            Err(_elapsed) => Err(StreamError::Unavailable("no answer in time".to_owned())),
        }
    }
}

/// Redis: "The ID specified in XADD is equal or smaller than the target stream top item".
fn is_repetition(error: &redis::RedisError) -> bool {
    error
        .detail()
        .is_some_and(|detail| detail.contains("equal or smaller"))
}
