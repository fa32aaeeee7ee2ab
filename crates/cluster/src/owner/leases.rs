//! Taking and giving up shards, as [`crate::assignment`] says.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use ganglion_model::{Generation, Shard, ShardFamily};
use ganglion_storage::{Fence, StorageError, batch, fabric};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::line::Line;
use super::publisher::Publisher;
use super::recent::Recent;
use super::{Owners, ShardWriter, Slot, metrics};
use crate::assignment::assign;
use crate::membership::ShardMap;

/// Shards taken at the same time.
const TAKE_AT_ONCE: usize = 8;

/// A shard to take: the epoch that was seen, and whether a dead owner is to be pushed aside.
struct Wanted {
    shard: Shard,
    epoch: i64,
    dead: Option<Uuid>,
}

/// Acts on every look at the cluster until it is stopped.
pub(super) async fn run<W: ShardWriter>(owners: Owners<W>) {
    let mut changes = owners.0.start.cluster.changes();
    let stop = owners.0.start.stop.clone();
    // A shard that its owner is about to give up is looked at more often.
    let soon = Duration::from_millis(owners.0.start.settings.heartbeat_ms / 4);
    loop {
        let waiting = owners.step().await;
        tokio::select! {
            () = stop.cancelled() => return,
            changed = changes.changed() => {
                if changed.is_err() {
                    return;
                }
            }
            () = tokio::time::sleep(soon), if waiting => {
                owners.0.start.cluster.refresh().await;
            }
        }
    }
}

impl<W: ShardWriter> Owners<W> {
    /// One look: drops what is lost, gives up what others should have, takes what is free. True if
    /// a shard that this process should have is still another's.
    async fn step(&self) -> bool {
        let _turn = self.0.turn.lock().await;
        let cluster = &self.0.start.cluster;
        let map = cluster.shard_map();
        self.drop_lost(&map);
        if cluster.is_draining() || !cluster.is_confirmed() {
            return false;
        }
        match self.generation(&map).await {
            Ok(generation) => {
                self.0.generation.send_if_modified(|known| {
                    let changed = *known != generation;
                    *known = generation;
                    changed
                });
            }
            Err(error) => {
                tracing::warn!(error = %error, "the generation is not known");
                return false;
            }
        }
        let shards: Vec<Shard> = match self.0.start.family {
            ShardFamily::Room => Shard::rooms().collect(),
            ShardFamily::User => Shard::users().collect(),
            ShardFamily::Push => Shard::pushes().collect(),
        };
        let plan = assign(&shards, &map.candidates(cluster.role()));
        let me = cluster.instance();
        let mine: Vec<Shard> = plan
            .iter()
            .filter(|(_, who)| *who == me)
            .map(|(shard, _)| *shard)
            .collect();
        self.give_up_all_but(&mine).await;
        self.take_all(&map, &mine).await
    }

    async fn generation(&self, map: &ShardMap) -> Result<Generation, StorageError> {
        match map.generation() {
            Some(generation) => Ok(generation),
            None => fabric::current_or_begin(&self.0.start.db.primary().await?).await,
        }
    }

    /// Ends the lines of shards that the map shows in other hands; a map from before one's own lease
    /// shows a lower epoch.
    fn drop_lost(&self, map: &ShardMap) {
        let me = self.0.start.cluster.instance();
        let lost = |slot: &mut Slot<W::Command>| {
            map.row(slot.shard).is_some_and(|row| {
                row.epoch > slot.epoch || (row.epoch == slot.epoch && row.owner != Some(me))
            })
        };
        let dropped: Vec<_> = self.slots().extract_if(.., lost).collect();
        for slot in &dropped {
            tracing::warn!(shard = %slot.shard, epoch = slot.epoch, "a lease is lost");
            metrics::LOST
                .with(&[("family", self.family())])
                .increment(1);
            slot.stop.cancel();
        }
        if !dropped.is_empty() {
            self.tell_owned();
        }
    }

    async fn give_up_all_but(&self, mine: &[Shard]) {
        let hold = Duration::from_millis(self.0.start.settings.minimum_hold_ms);
        let due = |slot: &mut Slot<W::Command>| {
            !mine.contains(&slot.shard) && slot.since.elapsed() >= hold
        };
        let released: Vec<_> = self.slots().extract_if(.., due).collect();
        if released.is_empty() {
            return;
        }
        self.tell_owned();
        futures_util::future::join_all(released.into_iter().map(|slot| self.release(slot))).await;
    }

    /// Finishes the batch in flight and gives the lease up. The slot is out of the list already.
    pub(super) async fn release(&self, slot: Slot<W::Command>) {
        slot.stop.cancel();
        slot.ended.cancelled().await;
        let start = &self.0.start;
        let owner = start.cluster.instance();
        let fence = Fence {
            shard: slot.shard,
            epoch: slot.epoch,
            owner,
        };
        let released = async { fabric::release(&start.db.primary().await?, &fence).await }.await;
        match released {
            Ok(()) => metrics::RELEASED
                .with(&[("family", self.family())])
                .increment(1),
            // Another takes it when this instance's heartbeat is gone.
            Err(error) => {
                tracing::warn!(shard = %slot.shard, error = %error, "a lease stays behind");
            }
        }
    }

    async fn take_all(&self, map: &ShardMap, mine: &[Shard]) -> bool {
        let me = self.0.start.cluster.instance();
        let held: Vec<Shard> = self.slots().iter().map(|slot| slot.shard).collect();
        let mut waiting = false;
        let mut wanted = Vec::new();
        for row in mine
            .iter()
            .filter(|s| !held.contains(s))
            .filter_map(|s| map.row(*s))
        {
            let dead = match row.owner {
                None => None,
                // Our own line ended by itself: the next epoch keeps it out.
                Some(owner) if owner == me => None,
                Some(owner) if !map.is_alive(owner) => Some(owner),
                Some(_) => {
                    waiting = true;
                    continue;
                }
            };
            wanted.push(Wanted {
                shard: row.shard,
                epoch: row.epoch,
                dead,
            });
        }
        if wanted.is_empty() {
            return waiting;
        }
        let mut dead: Vec<Uuid> = wanted.iter().filter_map(|wanted| wanted.dead).collect();
        dead.sort_unstable();
        dead.dedup();
        for owner in dead {
            if let Err(error) = self.terminate(owner).await {
                tracing::warn!(error = %error, %owner, "a dead owner's connections stay open");
                wanted.retain(|wanted| wanted.dead != Some(owner));
            }
        }
        let takes = futures_util::stream::iter(&wanted);
        takes
            .for_each_concurrent(TAKE_AT_ONCE, |wanted| self.take(wanted))
            .await;
        self.tell_owned();
        waiting
    }

    /// A stopped process inside an open transaction would hold the fence.
    async fn terminate(&self, owner: Uuid) -> Result<(), StorageError> {
        let start = &self.0.start;
        let name = format!("ganglion/{}/{owner}", start.cluster.role());
        let ended = fabric::terminate_backends(&start.db.primary().await?, &name).await?;
        tracing::info!(%owner, connections = ended, "taking over from a dead instance");
        Ok(())
    }

    async fn take(&self, wanted: &Wanted) {
        let from = if wanted.dead.is_some() {
            "dead"
        } else {
            "nobody"
        };
        match self.take_lease(wanted).await {
            Ok(true) => {
                metrics::TAKEN
                    .with(&[("family", self.family()), ("from", from)])
                    .increment(1);
            }
            // Somebody was quicker; the next look shows who.
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(shard = %wanted.shard, error = %error, "a shard cannot be taken");
            }
        }
    }

    async fn take_lease(&self, wanted: &Wanted) -> Result<bool, StorageError> {
        let start = &self.0.start;
        let shard = wanted.shard;
        let connection = start.db.primary().await?;
        let owner = start.cluster.instance();
        let taken = fabric::take(&connection, shard, wanted.epoch, owner).await?;
        let Some(epoch) = taken else { return Ok(false) };
        // From here on nobody else writes: what is read now stays true.
        let head = batch::head(&connection, shard).await?;
        drop(connection);
        let (queue, receiver) = mpsc::channel(start.limits.shard_queue.max(1));
        let stop = start.stop.child_token();
        let ended = CancellationToken::new();
        let publisher = Publisher::new(start.limits.publish_queue);
        let line = Line {
            fence: Fence {
                shard,
                epoch,
                owner,
            },
            writer: (self.0.factory)(shard),
            db: start.db.clone(),
            clock: start.clock.clone(),
            queue: receiver,
            batch_commands: start.limits.batch_commands.max(1),
            publisher: publisher.clone(),
            stop: stop.clone(),
            generations: self.0.generation.subscribe(),
            generation: *self.0.generation.borrow(),
            head,
            recent: Recent::default(),
        };
        start
            .tasks
            .spawn(Arc::clone(&publisher).run(start.streams.clone(), shard));
        let slot = Slot {
            shard,
            epoch,
            since: Instant::now(),
            queue,
            stop,
            ended: ended.clone(),
        };
        self.slots().push(slot);
        let end = EndOfLine {
            owners: self.clone(),
            shard,
            epoch,
            publisher,
            ended,
        };
        start.tasks.spawn(async move {
            // Also dropped when the line panics or its runtime goes.
            let _end = end;
            line.run().await;
        });
        tracing::info!(%shard, epoch, head, "shard taken");
        Ok(true)
    }

    fn family(&self) -> &'static str {
        metrics::family(self.0.start.family)
    }
}

/// Tidies up when a line ends, for whatever reason.
struct EndOfLine<W: ShardWriter> {
    owners: Owners<W>,
    shard: Shard,
    epoch: i64,
    publisher: Arc<Publisher>,
    ended: CancellationToken,
}

impl<W: ShardWriter> Drop for EndOfLine<W> {
    fn drop(&mut self) {
        self.publisher.close();
        self.ended.cancel();
        let before = self.owners.slots().len();
        self.owners
            .slots()
            .retain(|slot| slot.shard != self.shard || slot.epoch != self.epoch);
        if self.owners.slots().len() < before {
            tracing::warn!(shard = %self.shard, epoch = self.epoch, "the line of a shard ended");
            self.owners.tell_owned();
        }
    }
}
