//! The task that follows the shards of one endpoint.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use ganglion_model::{Generation, Position, Shard};
use ganglion_proto::log::Batch;
use ganglion_storage::{Heads, StorageError};
use ganglion_stream::{After, Published, Reader, StreamError};
use ganglion_telemetry::metrics::{Counter, Gauge, Histogram};
use prost::Message as _;
use tokio::time::Instant;

use super::{Follower, LogBatch, Place};
use crate::backoff::Backoff;

pub(super) static GAPS: Counter = Counter::new(
    "ganglion_follower_gaps_total",
    "Holes in the streams that were filled from PostgreSQL, by how they were found: batch, head.",
);
pub(super) static REFILLED: Counter = Counter::new(
    "ganglion_follower_refilled_positions_total",
    "Log positions that were read from PostgreSQL.",
);
pub(super) static RESTARTS: Counter = Counter::new(
    "ganglion_follower_restarts_total",
    "Shards whose memory began anew, by why: gap, generation.",
);
static LAG: Histogram = Histogram::new(
    "ganglion_follower_lag_seconds",
    "Time from the writing of a batch until it was applied here.",
);
static DEGRADED: Gauge = Gauge::new(
    "ganglion_follower_degraded",
    "1 while batches come from PostgreSQL because Redis is away.",
);

/// How long a read of the streams waits for something to come.
const BLOCK: Duration = Duration::from_secs(5);
/// Between two comparisons with the heads while Redis is away, or when a reader is in a hurry.
const DEGRADED_CHECK: Duration = Duration::from_millis(100);

type Reading = Pin<Box<dyn Future<Output = (Reader, Result<Vec<Published>, StreamError>)> + Send>>;

pub(super) struct Task {
    pub(super) follower: Follower,
    pub(super) shards: Vec<Shard>,
    reader: Option<Reader>,
    backoff: Backoff,
    degraded: bool,
    /// The heads of the last comparison: who is behind them a whole check later has missed something.
    last_heads: Option<Heads>,
}

impl Task {
    pub(super) fn new(follower: Follower, endpoint: usize, shards: Vec<Shard>) -> Self {
        let reader = Some(follower.0.follow.streams.reader(endpoint));
        Self {
            follower,
            shards,
            reader,
            backoff: Backoff::new(Duration::from_millis(50), Duration::from_secs(1)),
            degraded: false,
            last_heads: None,
        }
    }

    pub(super) async fn run(mut self) {
        let follower = self.follower.clone();
        let stop = follower.0.follow.stop.clone();
        let every = Duration::from_millis(follower.0.follow.settings.head_check_ms);
        let mut checked_at = Instant::now();
        let Some(mut reading) = self.read(Duration::ZERO) else {
            return;
        };
        loop {
            let pause = if self.degraded {
                DEGRADED_CHECK.min(every)
            } else {
                every
            };
            let mut hurried = false;
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                (reader, result) = &mut reading => {
                    self.reader = Some(reader);
                    let delay = self.take(result).await;
                    let Some(next) = self.read(delay) else { return };
                    reading = next;
                    continue;
                }
                () = tokio::time::sleep_until(checked_at + pause) => {}
                () = follower.0.hurry.notified() => hurried = true,
            }
            if hurried {
                // Many may be in a hurry: one comparison serves all.
                tokio::time::sleep_until(checked_at + DEGRADED_CHECK.min(every)).await;
            }
            checked_at = Instant::now();
            if let Err(error) = self.check(hurried).await {
                tracing::warn!(error = %error, "the logs' heads cannot be compared");
            }
        }
    }

    /// Starts the next read of the streams, behind what is applied.
    fn read(&mut self, delay: Duration) -> Option<Reading> {
        let mut reader = self.reader.take()?;
        let follower = self.follower.clone();
        let shards = self.shards.clone();
        Some(Box::pin(async move {
            if !delay.is_zero() {
                tokio::time::sleep(delay).await;
            }
            let after: Vec<After> = shards
                .iter()
                .map(|shard| {
                    let Place {
                        generation,
                        position,
                    } = follower.place(*shard);
                    After {
                        shard: *shard,
                        generation,
                        position,
                    }
                })
                .collect();
            let result = reader.read_many(&after, BLOCK).await;
            (reader, result)
        }))
    }

    /// Applies what was read; returns how long to wait before the next read.
    async fn take(&mut self, result: Result<Vec<Published>, StreamError>) -> Duration {
        match result {
            Ok(batches) => {
                self.set_degraded(false);
                for batch in batches {
                    if let Err(error) = self.published(&batch).await {
                        tracing::warn!(error = %error, shard = %batch.shard, "a gap stays open");
                        // The rest of this shard is read again, behind the gap.
                        return self.backoff.delay();
                    }
                }
                self.backoff.reset();
                Duration::ZERO
            }
            Err(error) => {
                if !self.degraded {
                    tracing::warn!(error = %error, "the streams cannot be read; PostgreSQL serves");
                }
                self.set_degraded(true);
                self.backoff.delay()
            }
        }
    }

    fn set_degraded(&mut self, degraded: bool) {
        if self.degraded != degraded {
            self.degraded = degraded;
            DEGRADED.set(if degraded { 1.0 } else { 0.0 });
        }
    }

    /// Applies one published batch, filling the gap before it.
    async fn published(&mut self, published: &Published) -> Result<(), StorageError> {
        let Published {
            shard,
            generation,
            last,
            ref batch,
        } = *published;
        if generation > self.follower.place(shard).generation {
            self.new_generation().await?;
        }
        let place = self.follower.place(shard);
        if generation < place.generation || last <= place.position {
            return Ok(());
        }
        let decoded = Batch::decode(batch.clone()).ok().filter(|batch| {
            batch.last_pos == last && batch.first_pos <= last && batch.first_pos > 0
        });
        let Some(batch) = decoded else {
            // Not something we can read: PostgreSQL has it in the form of today.
            GAPS.with(&[("found", "batch")]).increment(1);
            return self.refill(shard, last).await;
        };
        if batch.first_pos > place.position + 1 {
            GAPS.with(&[("found", "batch")]).increment(1);
            self.refill(shard, batch.first_pos - 1).await?;
        }
        self.apply(LogBatch {
            shard,
            generation,
            first: batch.first_pos,
            last,
            at_ms: batch.at_ms,
            entries: batch.entries,
        });
        Ok(())
    }

    /// Hands a stretch on, without what is applied already.
    pub(super) fn apply(&self, mut batch: LogBatch) {
        let place = self.follower.place(batch.shard);
        if batch.last <= place.position || batch.generation != place.generation {
            return;
        }
        if batch.first <= place.position {
            batch.first = place.position + 1;
            batch.entries.retain(|entry| entry.pos > place.position);
        }
        self.follower.0.apply.apply(&batch);
        let lag = self.follower.0.follow.clock.now_ms() - batch.at_ms;
        LAG.record(Duration::from_millis(u64::try_from(lag).unwrap_or(0)).as_secs_f64());
        let reached = Place {
            generation: batch.generation,
            position: batch.last,
        };
        self.follower.set_place(batch.shard, reached);
    }

    /// Compares with PostgreSQL's heads. Behind for a whole check means that something was missed;
    /// in a hurry, or without Redis, being behind at all is enough.
    async fn check(&mut self, hurried: bool) -> Result<(), StorageError> {
        let heads = self.follower.0.follow.db.heads().await?;
        if heads.generation > self.follower.generation() {
            self.new_generation().await?;
        }
        let at_once = self.degraded || hurried;
        let before = self.last_heads.replace(heads.clone());
        let missed = |position: Position, shard: Shard, generation: Generation| {
            if generation != heads.generation {
                return false;
            }
            let due = if at_once {
                Some(&heads)
            } else {
                before.as_ref()
            };
            due.is_some_and(|due| due.generation == generation && position < due.get(shard))
        };
        for shard in self.shards.clone() {
            let place = self.follower.place(shard);
            if missed(place.position, shard, place.generation) {
                if !at_once {
                    GAPS.with(&[("found", "head")]).increment(1);
                }
                self.refill(shard, heads.get(shard)).await?;
            }
        }
        Ok(())
    }
}
