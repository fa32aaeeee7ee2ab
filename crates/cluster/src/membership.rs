//! Who is there: every process counts its heartbeat up and watches the others', in one round trip.
//!
//! Nobody compares clocks. A process counts how long another's heartbeat stands still on its own
//! monotonic clock, and only over polls that succeeded one after the other: while PostgreSQL is away
//! nobody dies, and after it everybody is watched anew (docs/architecture.md, "The way of a lease").

mod task;
mod view;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use ganglion_model::{Clock, Shard};
use ganglion_storage::{Database, StorageError, fabric};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

pub use view::{Owner, ShardMap};

/// What a process needs to join.
pub struct Join {
    /// Its pools; their application name is `ganglion/<role>/<instance>`.
    pub db: Database,
    /// Its role, e.g. `event-persister`.
    pub role: &'static str,
    /// This process, for as long as it runs.
    pub instance: Uuid,
    /// `host:port` of its gRPC port, if it has one.
    pub rpc_address: Option<String>,
    /// Heartbeats and leases.
    pub settings: ganglion_config::Cluster,
    /// Wall-clock time, for the record only.
    pub clock: Clock,
    /// Ends the background tasks; cancelled when all work is done.
    pub stop: CancellationToken,
    /// Where background tasks are counted.
    pub tasks: TaskTracker,
}

/// This process's place in the cluster; a clone is a handle on the same.
#[derive(Clone)]
pub struct Cluster(Arc<Inner>);

struct Inner {
    join: Join,
    map: watch::Sender<ShardMap>,
    polls: Polls,
    draining: AtomicBool,
    left: CancellationToken,
}

/// Counts polls, so that a caller can wait for one that began after it asked.
#[derive(Default)]
struct Polls {
    wanted: Notify,
    started: AtomicU64,
    finished: watch::Sender<u64>,
}

impl Cluster {
    /// Registers this process and looks around once; from then on a background task does so every
    /// `heartbeat_ms`.
    ///
    /// # Errors
    /// If PostgreSQL does not answer this first time.
    pub async fn join(join: Join) -> Result<Self, StorageError> {
        let cluster = Self(Arc::new(Inner {
            join,
            map: watch::Sender::new(ShardMap::default()),
            polls: Polls::default(),
            draining: AtomicBool::new(false),
            left: CancellationToken::new(),
        }));
        let mut task = task::Task::new(cluster.clone());
        // The first poll does not show one's own row yet: it is made by the same statement.
        task.poll().await?;
        task.poll().await?;
        cluster.0.join.tasks.spawn(task.run());
        Ok(cluster)
    }

    /// Who owns what, as of the last poll.
    #[must_use]
    pub fn shard_map(&self) -> ShardMap {
        self.0.map.borrow().clone()
    }

    /// Sees every change of the map, and every poll.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<ShardMap> {
        self.0.map.subscribe()
    }

    /// The map as PostgreSQL has it now. One question answers all who ask at the same moment; if
    /// PostgreSQL does not answer within a lease it is the last known one.
    pub async fn refresh(&self) -> ShardMap {
        let polls = &self.0.polls;
        let wanted = polls.started.load(Ordering::SeqCst) + 1;
        let mut finished = polls.finished.subscribe();
        polls.wanted.notify_one();
        let answered = finished.wait_for(|finished| *finished >= wanted);
        if tokio::time::timeout(self.lease(), answered).await.is_err() {
            tracing::debug!("the shard map could not be refreshed in time");
        }
        self.shard_map()
    }

    /// This process.
    #[must_use]
    pub fn instance(&self) -> Uuid {
        self.0.join.instance
    }

    /// True while this process's heartbeat is known to be written: after a lease without it others
    /// may own its shards.
    #[must_use]
    pub fn is_confirmed(&self) -> bool {
        let confirmed = self.0.map.borrow().confirmed_at();
        confirmed.is_some_and(|at| Instant::now().duration_since(at) < self.lease())
    }

    /// Tells the others not to count on this process for shards any more.
    pub async fn drain(&self) {
        self.0.draining.store(true, Ordering::SeqCst);
        self.refresh().await;
    }

    /// True once [`Cluster::drain`] was called.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.0.draining.load(Ordering::SeqCst)
    }

    /// Stops the heartbeat and takes this process off the list.
    pub async fn leave(&self) {
        self.0.left.cancel();
        let removed =
            async { fabric::remove(&self.0.join.db.primary().await?, self.0.join.instance).await };
        match tokio::time::timeout(self.lease(), removed).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(error = %error, "the instance row stays behind"),
            Err(_elapsed) => tracing::warn!("the instance row stays behind: no answer in time"),
        }
    }

    pub(crate) fn role(&self) -> &'static str {
        self.0.join.role
    }

    pub(crate) fn lease(&self) -> Duration {
        Duration::from_millis(self.0.join.settings.lease_ms)
    }

    /// The owners of a shard and of the whole map change only here.
    fn publish(&self, map: ShardMap) {
        self.0.map.send_replace(map);
    }

    /// Whether a shard's row names this process, for tests and diagnosis.
    #[must_use]
    pub fn owns(&self, shard: Shard) -> bool {
        self.shard_map()
            .owner(shard)
            .is_some_and(|owner| owner.instance == self.instance())
    }
}
