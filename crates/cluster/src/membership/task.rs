//! The background task that beats and looks.

use std::sync::atomic::Ordering;
use std::time::Duration;

use ganglion_storage::fabric::{self, Beat};
use ganglion_storage::{Connection, StorageError};
use ganglion_telemetry::metrics::{Counter, Gauge};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::Cluster;
use super::view::{ShardMap, Terms, Watched};
use crate::backoff::jittered;

static POLL_FAILURES: Counter = Counter::new(
    "ganglion_cluster_poll_failures_total",
    "Heartbeats that could not be written to PostgreSQL.",
);
static LIVE: Gauge = Gauge::new(
    "ganglion_cluster_instances",
    "Instances whose heartbeat moves, this one included.",
);

/// How long a port may take to refuse a connection.
const PROBE: Duration = Duration::from_millis(200);
/// Between two polls that are asked for, so that a flood of questions is answered together.
const LEAST_PAUSE: Duration = Duration::from_millis(10);
/// How many leases after its death an instance's row is removed.
const PURGE_LEASES: u32 = 30;

pub(super) struct Task {
    cluster: Cluster,
    watched: Watched,
    terms: Terms,
    /// Held from poll to poll: a heartbeat must not wait in line behind requests.
    connection: Option<Connection>,
}

impl Task {
    pub(super) fn new(cluster: Cluster) -> Self {
        let settings = &cluster.0.join.settings;
        let terms = Terms {
            heartbeat: Duration::from_millis(settings.heartbeat_ms),
            lease: Duration::from_millis(settings.lease_ms),
            refused_lease: Duration::from_millis(settings.refused_lease_ms),
        };
        Self {
            cluster,
            watched: Watched::default(),
            terms,
            connection: None,
        }
    }

    pub(super) async fn run(mut self) {
        let stop = self.cluster.0.join.stop.clone();
        let left = self.cluster.0.left.clone();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = left.cancelled() => return,
                () = tokio::time::sleep(jittered(self.terms.heartbeat)) => {}
                () = self.cluster.0.polls.wanted.notified() => {}
            }
            if let Err(error) = self.poll().await {
                POLL_FAILURES.increment(1);
                tracing::warn!(error = %error, "the heartbeat could not be written");
            }
            tokio::time::sleep(LEAST_PAUSE).await;
        }
    }

    /// Counts the heartbeat up, looks at everything, and tells everybody in this process.
    pub(super) async fn poll(&mut self) -> Result<(), StorageError> {
        let number = self.cluster.0.polls.started.fetch_add(1, Ordering::SeqCst) + 1;
        let sent_at = Instant::now();
        let asked = tokio::time::timeout(self.terms.lease, self.ask()).await;
        let poll = match asked {
            Ok(Ok(poll)) => poll,
            failed => {
                self.watched.interrupt();
                // It may have an answer under way.
                if let Some(connection) = self.connection.take() {
                    connection.discard();
                }
                return match failed {
                    Ok(Err(error)) => Err(error),
                    _ => Err(StorageError::Unavailable(
                        "no answer within a lease".to_owned(),
                    )),
                };
            }
        };
        self.watched
            .see(&poll.instances, Instant::now(), &self.terms);
        self.probe(&poll).await;
        self.purge().await;
        let map = ShardMap::new(poll, &self.watched, sent_at);
        LIVE.set(f64::from(u32::try_from(map.live()).unwrap_or(u32::MAX)));
        self.cluster.publish(map);
        self.cluster.0.polls.finished.send_replace(number);
        Ok(())
    }

    async fn ask(&mut self) -> Result<fabric::Poll, StorageError> {
        let join = &self.cluster.0.join;
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => join.db.primary().await?,
        };
        let beat = Beat {
            instance: join.instance,
            role: join.role,
            rpc_address: join.rpc_address.as_deref(),
            draining: self.cluster.is_draining(),
            version: env!("CARGO_PKG_VERSION"),
            started_at: join.clock.now_ms(),
        };
        let poll = fabric::beat(&connection, &beat).await?;
        self.connection = Some(connection);
        Ok(poll)
    }

    /// Tries the ports of those whose heartbeat stands still: a refused connection means that the
    /// process is gone, and fencing makes it safe to be wrong.
    async fn probe(&mut self, poll: &fabric::Poll) {
        for instance in self.watched.doubtful(&self.terms) {
            let row = poll.instances.iter().find(|row| row.instance == instance);
            let Some(address) = row.and_then(|row| row.rpc_address.as_deref()) else {
                continue;
            };
            let address = address.split_once("://").map_or(address, |(_, rest)| rest);
            let refused = match tokio::time::timeout(PROBE, TcpStream::connect(address)).await {
                Ok(Err(error)) => error.kind() == std::io::ErrorKind::ConnectionRefused,
                Ok(Ok(_)) | Err(_) => false,
            };
            if refused {
                tracing::info!(%instance, "an instance refuses connections and its heartbeat stands still");
                self.watched.declare_dead(instance);
            }
        }
    }

    /// Removes the rows of those that will not come back; one that does registers anew.
    async fn purge(&mut self) {
        let dead = self.watched.long_dead(self.terms.lease * PURGE_LEASES);
        let Some(connection) = self.connection.as_ref().filter(|_| !dead.is_empty()) else {
            return;
        };
        if let Err(error) = fabric::purge(connection, &dead).await {
            tracing::debug!(error = %error, "dead instances could not be removed");
        }
    }
}
