//! Reading a stream of soft state, and the time along with it.

use std::time::Duration;

use ganglion_stream::{Run, SoftEntry, SoftId, SoftReader, SoftStream, StreamError};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::metrics::SOFT_AWAY;

/// How long a read waits for something to come.
const BLOCK: Duration = Duration::from_secs(5);
/// Between two attempts to reach Redis.
const RETRY: Duration = Duration::from_millis(250);

/// What a stream is applied to.
pub(crate) trait Soft: Send + Sync {
    /// A new life of Redis, which the entries from `from_ms` on belong to.
    fn begin(&self, run: u32, from_ms: i64);

    /// Gets ready for entries that are about to be applied.
    fn prepare(&self, entries: &[SoftEntry]) -> impl Future<Output = ()> + Send;

    /// Applies an entry. All of the time before it is complete.
    fn apply(&self, entry: &SoftEntry);

    /// All entries up to this time are applied; so is then what the time itself brings.
    fn complete(&self, ms: i64);

    /// When the time brings something next.
    fn next_ms(&self) -> Option<i64>;

    /// Redis cannot be reached, or can again.
    fn set_away(&self, _away: bool) {}

    /// Redis's time is `ms` now.
    fn set_clock(&self, _ms: i64) {}
}

/// Follows a stream until `stop`; begins `back` before the present.
pub(crate) async fn follow(
    name: &'static str,
    stream: SoftStream,
    soft: &impl Soft,
    back: Duration,
    stop: CancellationToken,
) {
    let task = Task {
        name,
        reader: stream.reader(),
        soft,
        back: i64::try_from(back.as_millis()).unwrap_or(i64::MAX),
        after: SoftId { ms: 0, seq: 0 },
        run: 0,
        clock: None,
        away: false,
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = task.run() => {}
    }
}

struct Task<'a, S> {
    name: &'static str,
    reader: SoftReader,
    soft: &'a S,
    back: i64,
    after: SoftId,
    run: u32,
    /// Redis's time at a moment of ours.
    clock: Option<(i64, Instant)>,
    away: bool,
}

impl<S: Soft> Task<'_, S> {
    async fn run(mut self) {
        loop {
            let Err(error) = self.follow_connection().await;
            self.set_away(Some(&error));
            // Without Redis nothing comes, but what there is ends in its time.
            if let Some(now) = self.estimated() {
                self.soft.complete(now - 1);
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    /// Reads until there is an error.
    async fn follow_connection(&mut self) -> Result<std::convert::Infallible, StreamError> {
        let Run { id, now_ms } = self.reader.connect().await?;
        self.set_clock(now_ms);
        if id != self.run {
            self.run = id;
            let from_ms = now_ms.saturating_sub(self.back);
            self.after = SoftId {
                ms: from_ms,
                seq: 0,
            };
            self.soft.begin(id, from_ms);
        }
        self.set_away(None);
        loop {
            let read = self.reader.read(self.after, self.block()).await?;
            self.set_clock(read.complete_ms.max(self.estimated().unwrap_or(0)));
            self.soft.prepare(&read.entries).await;
            for entry in &read.entries {
                self.soft.complete(entry.id.ms - 1);
                self.soft.apply(entry);
                self.after = entry.id;
            }
            self.soft.complete(read.complete_ms);
        }
    }

    /// Until something ends, so that the time is asked for then.
    fn block(&self) -> Duration {
        let (Some(next), Some(now)) = (self.soft.next_ms(), self.estimated()) else {
            return BLOCK;
        };
        let left = u64::try_from(next.saturating_sub(now) + 2).unwrap_or(1);
        Duration::from_millis(left.max(1)).min(BLOCK)
    }

    fn estimated(&self) -> Option<i64> {
        let (ms, at) = self.clock?;
        Some(ms.saturating_add(i64::try_from(at.elapsed().as_millis()).unwrap_or(0)))
    }

    fn set_clock(&mut self, ms: i64) {
        self.clock = Some((ms, Instant::now()));
        self.soft.set_clock(ms);
    }

    fn set_away(&mut self, error: Option<&StreamError>) {
        if let Some(error) = error.filter(|_| !self.away) {
            tracing::warn!(stream = self.name, error = %error, "a stream of soft state cannot be read");
        }
        self.away = error.is_some();
        self.soft.set_away(self.away);
        SOFT_AWAY
            .with(&[("stream", self.name)])
            .set(if self.away { 1.0 } else { 0.0 });
    }
}
