//! The readers' side: brings every position of every followed log to this process exactly once and
//! in order, from the streams or, where they have a gap, from PostgreSQL.
//!
//! Whether a reader is complete is judged by the heads in PostgreSQL, never by Redis: every
//! `head_check_ms` they are compared, which finds a lost last entry, and while Redis is away that
//! same comparison, done more often, is how batches arrive (docs/architecture.md, "Logs").

mod refill;
mod task;

use std::sync::Arc;
use std::time::Duration;

use ganglion_model::{Clock, Generation, Position, Shard, Vector};
use ganglion_proto::log::Entry;
use ganglion_storage::{Database, Heads, StorageError};
use ganglion_stream::Streams;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A stretch of a log that follows what came before without a hole: one batch or, after a gap,
/// several.
#[derive(Debug, Clone, PartialEq)]
pub struct LogBatch {
    /// The shard.
    pub shard: Shard,
    /// The generation of its positions.
    pub generation: Generation,
    /// The first position.
    pub first: Position,
    /// The last position.
    pub last: Position,
    /// When its last batch was written, in milliseconds since the epoch.
    pub at_ms: i64,
    /// The entries in order; a position without one is void.
    pub entries: Vec<Entry>,
}

/// What a reader does with the logs. It is called from one task per endpoint of the streams, so for
/// one shard never twice at the same time; it must not block.
pub trait Apply: Send + Sync + 'static {
    /// The next stretch of a shard's log: it begins right behind the one before.
    fn apply(&self, batch: &LogBatch);

    /// This reader's memory of the shard starts anew behind `head`: what came before is unknown.
    fn restart(&self, shard: Shard, head: Position);
}

/// What a follower needs.
pub struct Follow {
    /// Pools; refills read from replicas where those are fresh.
    pub db: Database,
    /// Where batches are published.
    pub streams: Streams,
    /// The logs to follow.
    pub shards: Vec<Shard>,
    /// `head_check_ms` is used.
    pub settings: ganglion_config::Cluster,
    /// For the lag.
    pub clock: Clock,
    /// Ends the tasks.
    pub stop: CancellationToken,
    /// Where tasks are counted.
    pub tasks: TaskTracker,
}

/// How far a shard is applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    generation: Generation,
    position: Position,
}

/// How far this process has come; a clone is a handle on the same.
#[derive(Clone)]
pub struct Follower(Arc<Inner>);

struct Inner {
    follow: Follow,
    apply: Arc<dyn Apply>,
    /// By shard number; of shards that are not followed nothing is ever heard.
    places: Vec<watch::Sender<Place>>,
    /// Somebody waits for longer than a stream should take.
    hurry: Notify,
}

/// A reader that waits this long makes the heads be compared at once.
const PATIENCE: Duration = Duration::from_millis(50);

impl Follower {
    /// Follows the logs from their heads of this moment on; [`Apply::restart`] is called for each.
    ///
    /// # Errors
    /// If PostgreSQL does not answer.
    pub async fn start(follow: Follow, apply: Arc<dyn Apply>) -> Result<Self, StorageError> {
        let heads = follow.db.heads().await?;
        let generation = heads.generation;
        let places = Shard::followed()
            .map(|shard| {
                watch::Sender::new(Place {
                    generation,
                    position: heads.get(shard),
                })
            })
            .collect();
        for shard in &follow.shards {
            apply.restart(*shard, heads.get(*shard));
        }
        let follower = Self(Arc::new(Inner {
            follow,
            apply,
            places,
            hurry: Notify::new(),
        }));
        let follow = &follower.0.follow;
        for endpoint in 0..follow.streams.endpoints() {
            let here = |shard: &Shard| follow.streams.endpoint_of(*shard) == endpoint;
            let shards: Vec<Shard> = follow.shards.iter().copied().filter(here).collect();
            if !shards.is_empty() {
                let task = task::Task::new(follower.clone(), endpoint, shards);
                follow.tasks.spawn(task.run());
            }
        }
        Ok(follower)
    }

    /// The last position of a shard that is applied.
    #[must_use]
    pub fn position(&self, shard: Shard) -> Position {
        self.place(shard).position
    }

    /// The generation of the positions: the newest that any followed shard has seen.
    #[must_use]
    pub fn generation(&self) -> Generation {
        let shards = &self.0.follow.shards;
        shards
            .iter()
            .map(|shard| self.place(*shard).generation)
            .max()
            .unwrap_or(1)
    }

    /// The positions of all room shards.
    #[must_use]
    pub fn vector(&self) -> Vector {
        let mut vector = Vector::ZERO;
        for shard in Shard::rooms() {
            vector.set(shard, self.position(shard));
        }
        vector
    }

    /// Waits until a position of a followed shard is applied; false if it is not within `deadline`.
    pub async fn reached(&self, shard: Shard, position: Position, deadline: Duration) -> bool {
        self.wait(shard, deadline, |place| place.position >= position)
            .await
    }

    /// Waits until all followed shards are applied up to these heads; false if they are not within
    /// `deadline`.
    pub async fn reached_all(&self, heads: &Heads, deadline: Duration) -> bool {
        let end = Instant::now() + deadline;
        for shard in &self.0.follow.shards {
            let wanted = Place {
                generation: heads.generation,
                position: heads.get(*shard),
            };
            let left = end.saturating_duration_since(Instant::now());
            // A place of a newer generation has taken the older one's end into account.
            if !self.wait(*shard, left, |place| *place >= wanted).await {
                return false;
            }
        }
        true
    }

    async fn wait(
        &self,
        shard: Shard,
        deadline: Duration,
        enough: impl Fn(&Place) -> bool + Send + Sync,
    ) -> bool {
        let Some(place) = self.0.places.get(shard.index()) else {
            return false;
        };
        if enough(&place.borrow()) {
            return true;
        }
        let mut place = place.subscribe();
        let end = Instant::now() + deadline;
        let mut patience = PATIENCE;
        loop {
            let until = end.min(Instant::now() + patience);
            let reached = tokio::time::timeout_at(until, place.wait_for(&enough)).await;
            match reached {
                Ok(reached) => return reached.is_ok(),
                Err(_elapsed) if until == end => return false,
                Err(_elapsed) => {}
            }
            self.0.hurry.notify_waiters();
            patience *= 2;
        }
    }

    fn place(&self, shard: Shard) -> Place {
        let place = self
            .0
            .places
            .get(shard.index())
            .map(|place| *place.borrow());
        place.unwrap_or(Place {
            generation: 1,
            position: 0,
        })
    }

    fn set_place(&self, shard: Shard, place: Place) {
        if let Some(sender) = self.0.places.get(shard.index()) {
            sender.send_replace(place);
        }
    }
}
