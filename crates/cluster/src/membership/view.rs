//! What one poll shows, and what a process concludes from many.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use ganglion_model::{Generation, Shard};
use ganglion_storage::fabric::{InstanceRow, Poll, ShardRow};
use tokio::time::Instant;
use uuid::Uuid;

/// Who owns a shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The process.
    pub instance: Uuid,
    /// The epoch of its lease.
    pub epoch: i64,
    /// Where its gRPC port is.
    pub rpc_address: Option<String>,
}

/// A view of the cluster at one poll; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct ShardMap(Arc<View>);

#[derive(Debug, Default)]
struct View {
    instances: Vec<Seen>,
    shards: Vec<ShardRow>,
    timeline: i32,
    newest: Option<(Generation, i32)>,
    confirmed_at: Option<Instant>,
}

/// An instance and whether it may still be counted on.
#[derive(Debug, Clone)]
struct Seen {
    row: InstanceRow,
    alive: bool,
}

impl ShardMap {
    pub(super) fn new(poll: Poll, watched: &Watched, sent_at: Instant) -> Self {
        let instances = poll
            .instances
            .into_iter()
            .map(|row| Seen {
                alive: !watched.is_dead(row.instance),
                row,
            })
            .collect();
        Self(Arc::new(View {
            instances,
            shards: poll.shards,
            timeline: poll.timeline,
            newest: poll.newest_generation,
            confirmed_at: Some(sent_at),
        }))
    }

    /// The owner of a shard; `None` while it has none, or only one that left without a word.
    #[must_use]
    pub fn owner(&self, shard: Shard) -> Option<Owner> {
        let row = self.row(shard)?;
        let instance = row.owner?;
        let seen = self
            .0
            .instances
            .iter()
            .find(|seen| seen.row.instance == instance)?;
        Some(Owner {
            instance,
            epoch: row.epoch,
            rpc_address: seen.row.rpc_address.clone(),
        })
    }

    /// The gRPC addresses of the live instances of a role; those that are not draining come first.
    #[must_use]
    pub fn addresses(&self, role: &str) -> Vec<String> {
        let mut live: Vec<&Seen> = self
            .0
            .instances
            .iter()
            .filter(|s| s.alive && s.row.role == role)
            .collect();
        live.sort_by_key(|seen| seen.row.draining);
        live.into_iter()
            .filter_map(|seen| seen.row.rpc_address.clone())
            .collect()
    }

    /// The live instances of a role that may be given shards.
    pub(crate) fn candidates(&self, role: &str) -> Vec<Uuid> {
        let fit = |seen: &&Seen| seen.alive && !seen.row.draining && seen.row.role == role;
        self.0
            .instances
            .iter()
            .filter(fit)
            .map(|seen| seen.row.instance)
            .collect()
    }

    /// True if an instance is on the list and its heartbeat moves.
    pub(crate) fn is_alive(&self, instance: Uuid) -> bool {
        self.0
            .instances
            .iter()
            .any(|seen| seen.alive && seen.row.instance == instance)
    }

    pub(crate) fn row(&self, shard: Shard) -> Option<&ShardRow> {
        self.0.shards.iter().find(|row| row.shard == shard)
    }

    /// The generation that is under way; `None` if PostgreSQL's timeline has none yet.
    pub(crate) fn generation(&self) -> Option<Generation> {
        self.0
            .newest
            .filter(|(_, timeline)| *timeline == self.0.timeline)
            .map(|(g, _)| g)
    }

    /// How many instances are alive.
    pub(super) fn live(&self) -> usize {
        self.0.instances.iter().filter(|seen| seen.alive).count()
    }

    pub(super) fn confirmed_at(&self) -> Option<Instant> {
        self.0.confirmed_at
    }
}

/// How long each other instance's heartbeat has stood still.
#[derive(Debug, Default)]
pub(super) struct Watched {
    instances: HashMap<Uuid, Still>,
    last: Option<Instant>,
    /// A poll failed since the last one that succeeded.
    interrupted: bool,
}

#[derive(Debug, Clone, Copy)]
struct Still {
    heartbeat: i64,
    stood: Duration,
    dead: bool,
}

/// When a heartbeat that stands still means death.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    pub(super) heartbeat: Duration,
    pub(super) lease: Duration,
    pub(super) refused_lease: Duration,
}

impl Watched {
    /// A poll failed: what was counted until now proves nothing about others.
    pub(super) fn interrupt(&mut self) {
        self.interrupted = true;
    }

    /// Counts a poll that was answered at `now`.
    pub(super) fn see(&mut self, rows: &[InstanceRow], now: Instant, terms: &Terms) {
        let elapsed = self
            .last
            .map_or(Duration::ZERO, |last| now.duration_since(last));
        // We were stopped ourselves, or PostgreSQL was away: everybody is watched anew.
        let anew = self.interrupted || elapsed > terms.lease;
        let step = elapsed.min(terms.heartbeat * 2);
        let before = std::mem::take(&mut self.instances);
        for row in rows {
            let fresh = Still {
                heartbeat: row.heartbeat,
                stood: Duration::ZERO,
                dead: false,
            };
            let still = match before.get(&row.instance) {
                Some(old) if old.heartbeat == row.heartbeat && !anew => {
                    let stood = old.stood + step;
                    Still {
                        stood,
                        dead: old.dead || stood >= terms.lease,
                        ..*old
                    }
                }
                _ => fresh,
            };
            self.instances.insert(row.instance, still);
        }
        self.last = Some(now);
        self.interrupted = false;
    }

    /// Those whose heartbeat has stood still for so long that a refused connection settles it.
    pub(super) fn doubtful(&self, terms: &Terms) -> Vec<Uuid> {
        let doubtful = |still: &Still| !still.dead && still.stood >= terms.refused_lease;
        self.instances
            .iter()
            .filter(|(_, s)| doubtful(s))
            .map(|(uuid, _)| *uuid)
            .collect()
    }

    /// Its port refuses connections: it is dead until its heartbeat moves.
    pub(super) fn declare_dead(&mut self, instance: Uuid) {
        if let Some(still) = self.instances.get_mut(&instance) {
            still.dead = true;
        }
    }

    pub(super) fn is_dead(&self, instance: Uuid) -> bool {
        self.instances
            .get(&instance)
            .is_some_and(|still| still.dead)
    }

    /// Those that have been dead for so long that their rows are in the way; with their heartbeat.
    pub(super) fn long_dead(&self, after: Duration) -> Vec<(Uuid, i64)> {
        self.instances
            .iter()
            .filter(|(_, still)| still.dead && still.stood >= after)
            .map(|(uuid, still)| (*uuid, still.heartbeat))
            .collect()
    }
}

#[cfg(test)]
mod tests;
