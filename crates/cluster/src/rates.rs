//! How often something was done, counted over all instances.
//!
//! A request asks only the memory of its process, and never waits. What a process has given out it
//! tells the others through Redis a moment later, and hears what all have given out together; a
//! process that has not heard yet may give out another burst, which is then paid back by waiting
//! longer: over time the rate holds exactly. While Redis is away every process counts by itself.

mod bucket;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ganglion_config::Rate;
use ganglion_model::CommandId;
use ganglion_stream::Streams;
use ganglion_telemetry::metrics::Counter;
use moka::sync::Cache;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::bucket::{Bucket, Pace};

static REFUSED: Counter = Counter::new(
    "ganglion_rate_limits_refused_total",
    "Requests refused because of a rate, by its key in [rate_limits].",
);
static SETTLED: Counter = Counter::new(
    "ganglion_rate_limits_settled_total",
    "Exchanges with the other instances about rates, by outcome: done, alone (Redis did not answer).",
);
static UNTOLD: Counter = Counter::new(
    "ganglion_rate_limits_untold_total",
    "Buckets that were not told to the other instances because too many waited.",
);

/// Buckets that a process remembers; those beyond begin full again until Redis is heard.
const REMEMBERED: u64 = 200_000;
/// For how long one that is not used is.
const IDLE: Duration = Duration::from_secs(3_600);
/// Buckets that wait to be told to the others.
const WAITING: usize = 20_000;
/// The time between two exchanges.
const PAUSE: Duration = Duration::from_millis(50);
/// The same after one that failed.
const REST: Duration = Duration::from_secs(1);

/// One thing of which there is only so much.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// What: its key in `[rate_limits]`.
    pub what: &'static str,
    /// Whose or where: a user, an address, a room.
    pub of: String,
    /// How often.
    pub rate: Rate,
    /// How many at once.
    pub times: u32,
}

/// It was done too often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooOften {
    /// When it may be done again, in milliseconds; at least 1.
    pub retry_after_ms: u64,
}

/// Counts; a clone counts the same.
#[derive(Clone)]
pub struct Rates(Arc<Inner>);

/// A bucket with its id.
type Named = ([u8; 16], Arc<Mutex<Bucket>>);

struct Inner {
    streams: Streams,
    started: Instant,
    known: Cache<[u8; 16], Arc<Mutex<Bucket>>>,
    waiting: Mutex<Vec<Named>>,
    wake: Notify,
    alone: AtomicBool,
}

impl Rates {
    /// Nothing was done yet. [`Rates::run`] must run beside it.
    #[must_use]
    pub fn new(streams: Streams) -> Self {
        Self(Arc::new(Inner {
            streams,
            started: Instant::now(),
            known: Cache::builder()
                .max_capacity(REMEMBERED)
                .time_to_idle(IDLE)
                .build(),
            waiting: Mutex::default(),
            wake: Notify::new(),
            alone: AtomicBool::new(false),
        }))
    }

    /// Takes all or nothing.
    ///
    /// # Errors
    /// [`TooOften`] by the first that there is not enough of.
    pub fn take(&self, wanted: &[Wanted]) -> Result<(), TooOften> {
        let now = self.now();
        for (index, one) in wanted.iter().enumerate() {
            let (id, bucket) = self.bucket(one);
            let taken = lock(&bucket).take(now, Pace::of(one.rate), one.times);
            match taken {
                Ok(()) => self.tell_later(id, bucket),
                Err(wait) => {
                    REFUSED.with(&[("rate", one.what)]).increment(1);
                    self.give_back(wanted.get(..index).unwrap_or_default());
                    let ms = u64::try_from(wait).unwrap_or(0).div_ceil(1_000);
                    return Err(TooOften {
                        retry_after_ms: ms.max(1),
                    });
                }
            }
        }
        Ok(())
    }

    /// Undoes a [`Rates::take`] that succeeded.
    pub fn give_back(&self, taken: &[Wanted]) {
        for one in taken {
            let (id, bucket) = self.bucket(one);
            lock(&bucket).give_back(Pace::of(one.rate), one.times);
            self.tell_later(id, bucket);
        }
    }

    /// Exchanges with the other instances until `stop` is cancelled.
    pub async fn run(self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.0.wake.notified() => {}
            }
            let pause = if self.settle().await { PAUSE } else { REST };
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Tells what was taken here, and hears what all have taken; false if Redis did not answer.
    async fn settle(&self) -> bool {
        let waiting = std::mem::take(&mut *self.waiting());
        let taken: Vec<([u8; 16], i64)> = waiting
            .iter()
            .map(|(id, bucket)| (*id, lock(bucket).tell()))
            .collect();
        match self.0.streams.settle(&taken).await {
            Ok(left) => {
                SETTLED.with(&[("outcome", "done")]).increment(1);
                if self.0.alone.swap(false, Ordering::Relaxed) {
                    tracing::info!("rate limits are counted over all instances again");
                }
                let now = self.now();
                for ((_, bucket), left) in waiting.iter().zip(left) {
                    lock(bucket).hear(now, left);
                }
                true
            }
            Err(error) => {
                // What was not told is paid for here, and forgotten elsewhere.
                SETTLED.with(&[("outcome", "alone")]).increment(1);
                if !self.0.alone.swap(true, Ordering::Relaxed) {
                    tracing::warn!(error = %error, "rate limits are counted by this process alone");
                }
                false
            }
        }
    }

    fn bucket(&self, wanted: &Wanted) -> Named {
        let id = *CommandId::of(&["rate", wanted.what, &wanted.of]).as_bytes();
        (id, self.0.known.get_with(id, Arc::default))
    }

    fn tell_later(&self, id: [u8; 16], bucket: Arc<Mutex<Bucket>>) {
        if std::mem::replace(&mut lock(&bucket).queued, true) {
            return;
        }
        let mut waiting = self.waiting();
        if waiting.len() >= WAITING {
            drop(waiting);
            lock(&bucket).queued = false;
            UNTOLD.increment(1);
            return;
        }
        waiting.push((id, bucket));
        drop(waiting);
        self.0.wake.notify_one();
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Named>> {
        lock(&self.0.waiting)
    }

    fn now(&self) -> i64 {
        i64::try_from(self.0.started.elapsed().as_micros()).unwrap_or(i64::MAX)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
