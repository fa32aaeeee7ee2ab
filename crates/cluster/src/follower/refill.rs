//! What the streams do not have, from PostgreSQL.

use ganglion_model::{Position, Shard};
use ganglion_storage::timeline::{self, Range};
use ganglion_storage::{StorageError, log};

use super::task::{REFILLED, RESTARTS, Task};
use super::{LogBatch, Place};

/// A reader that has missed more than this forgets what it knew of the shard.
const LARGEST_GAP: Position = 20_000;
/// Positions handed on at once.
const PAGE_POSITIONS: Position = 1_000;
/// Batches read at once.
const PAGE_BATCHES: i64 = 256;

impl Task {
    /// Applies a shard's log from what is applied up to `up_to`, which is committed.
    pub(super) async fn refill(&self, shard: Shard, up_to: Position) -> Result<(), StorageError> {
        let db = &self.follower.0.follow.db;
        let place = self.follower.place(shard);
        if up_to <= place.position {
            return Ok(());
        }
        // Behind the barrier is all that was committed when it was raised, also on a replica.
        let barrier = db.barrier().await?;
        let head = barrier.heads.get(shard);
        if head - place.position > LARGEST_GAP {
            RESTARTS.with(&[("why", "gap")]).increment(1);
            self.restart(
                shard,
                Place {
                    generation: place.generation,
                    position: head,
                },
            );
            return Ok(());
        }
        let snapshot = db.read(&barrier).await?;
        let mut after = place.position;
        while after < up_to {
            let range = Range { after, up_to };
            let batches = log::batches(&snapshot, shard, range, PAGE_BATCHES).await?;
            let limit = after + PAGE_POSITIONS;
            let fitting = batches
                .iter()
                .take_while(|batch| batch.last <= limit)
                .last();
            let Some(end) = fitting.or(batches.first()).copied() else {
                // Committed, yet not here: the caller tries again later.
                return Err(StorageError::Unavailable(format!(
                    "shard {shard} has no batch behind {after}"
                )));
            };
            let range = Range {
                after,
                up_to: end.last,
            };
            let entries = log::entries(&snapshot, shard, range).await?;
            REFILLED.increment(u64::try_from(end.last - after).unwrap_or(0));
            self.apply(LogBatch {
                shard,
                generation: place.generation,
                first: after + 1,
                last: end.last,
                at_ms: end.at_ms,
                entries,
            });
            after = end.last;
        }
        Ok(())
    }

    /// A restore or a failover may have undone the ends of logs: what of a shard lies above the
    /// point where the new generation began is forgotten.
    pub(super) async fn new_generation(&self) -> Result<(), StorageError> {
        let db = &self.follower.0.follow.db;
        let barrier = db.barrier().await?;
        let generation = barrier.heads.generation;
        let connection = db.primary().await?;
        for shard in &self.shards {
            let place = self.follower.place(*shard);
            if place.generation >= generation {
                continue;
            }
            let clamps = timeline::clamps(&connection, place.generation).await?;
            let clamp = clamps.iter().find(|(clamped, _)| clamped == shard);
            if clamp.is_some_and(|(_, end)| place.position > *end) {
                RESTARTS.with(&[("why", "generation")]).increment(1);
                let head = barrier.heads.get(*shard);
                self.restart(
                    *shard,
                    Place {
                        generation,
                        position: head,
                    },
                );
            } else {
                let position = place.position;
                self.follower.set_place(
                    *shard,
                    Place {
                        generation,
                        position,
                    },
                );
            }
        }
        Ok(())
    }

    fn restart(&self, shard: Shard, place: Place) {
        tracing::info!(%shard, position = place.position, "the memory of a shard starts anew");
        self.follower.0.apply.restart(shard, place.position);
        self.follower.set_place(shard, place);
    }
}
