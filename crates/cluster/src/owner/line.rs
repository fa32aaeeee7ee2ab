//! The line of batches of one owned shard.

mod attempt;

use std::sync::Arc;
use std::time::Duration;

use ganglion_model::{Clock, Generation, MatrixError, Position};
use ganglion_storage::{Database, Fence, StorageError, batch};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::attempt::{Attempt, Lost};
use super::publisher::Publisher;
use super::recent::Recent;
use super::work::{Queued, Work, together};
use super::{ShardWriter, SubmitError, metrics};
use crate::backoff::Backoff;

/// Failures of a batch before it is cut in halves.
const FAILURES_BEFORE_CUT: u32 = 2;

/// The state of an owned shard's line; its task is [`Line::run`].
pub(super) struct Line<W: ShardWriter> {
    pub(super) fence: Fence,
    pub(super) writer: W,
    pub(super) db: Database,
    pub(super) clock: Clock,
    pub(super) queue: mpsc::Receiver<Queued<W::Command>>,
    pub(super) batch_commands: usize,
    pub(super) publisher: Arc<Publisher>,
    /// Ends the line after the batch in flight.
    pub(super) stop: CancellationToken,
    /// The generation under way, as the leases see it.
    pub(super) generations: watch::Receiver<Generation>,
    /// The generation that `head` belongs to.
    pub(super) generation: Generation,
    /// The last committed position.
    pub(super) head: Position,
    pub(super) recent: Recent,
}

/// Commands that go into one batch.
struct Group<C> {
    works: Vec<Work<C>>,
    /// How often they were refused together.
    failures: u32,
}

impl<W: ShardWriter> Line<W> {
    /// Takes commands until the line is stopped or the lease is lost; then answers who still waits.
    pub(super) async fn run(mut self) {
        let mut waiting = Vec::with_capacity(self.batch_commands);
        loop {
            let limit = self.batch_commands;
            tokio::select! {
                biased;
                () = self.stop.cancelled() => break,
                count = self.queue.recv_many(&mut waiting, limit) => {
                    if count == 0 {
                        break;
                    }
                }
            }
            if self.batch(waiting.drain(..)).await == Err(Lost) {
                break;
            }
        }
        self.queue.close();
        let epoch = self.fence.epoch;
        while let Some(queued) = self.queue.recv().await {
            queued.waiter.answer(Err(SubmitError::WrongOwner { epoch }));
        }
    }

    /// Executes commands: as one batch if that works, else in parts.
    async fn batch(
        &mut self,
        queued: impl Iterator<Item = Queued<W::Command>>,
    ) -> Result<(), Lost> {
        let works = self.admit(queued);
        let mut groups = vec![Group { works, failures: 0 }];
        let mut backoff = Backoff::new(Duration::from_millis(20), Duration::from_secs(1));
        while let Some(mut group) = groups.pop() {
            drop_expired(&mut group.works);
            if group.works.is_empty() {
                continue;
            }
            let attempt = match self.follow_generation().await {
                Ok(()) => self.attempt(&mut group.works).await,
                Err(error) => Ok(self.later(error)),
            };
            match attempt {
                Ok(Attempt::Answered) => backoff.reset(),
                Ok(Attempt::Again) => groups.push(group),
                Ok(Attempt::Later) if !self.stop.is_cancelled() => {
                    groups.push(group);
                    tokio::time::sleep(backoff.delay()).await;
                }
                Ok(Attempt::Refused(answer)) => {
                    group.failures += 1;
                    self.cut(group, answer, &mut groups);
                }
                Ok(Attempt::Later) | Err(Lost) => {
                    groups.push(group);
                    let epoch = self.fence.epoch;
                    for work in groups.into_iter().rev().flat_map(|group| group.works) {
                        work.answer(&Err(SubmitError::WrongOwner { epoch }));
                    }
                    return Err(Lost);
                }
            }
        }
        Ok(())
    }

    /// What a refused group becomes: itself again, its halves in order, or an answer.
    fn cut(
        &self,
        mut group: Group<W::Command>,
        answer: MatrixError,
        groups: &mut Vec<Group<W::Command>>,
    ) {
        if group.failures < FAILURES_BEFORE_CUT {
            groups.push(group);
        } else if group.works.len() > 1 {
            let second = group.works.split_off(group.works.len() / 2);
            let failures = FAILURES_BEFORE_CUT - 1;
            groups.push(Group {
                works: second,
                failures,
            });
            groups.push(Group {
                works: group.works,
                failures,
            });
        } else {
            for work in group.works {
                metrics::POISON
                    .with(&[("family", self.family())])
                    .increment(1);
                work.refuse(answer.clone());
            }
        }
    }

    /// Brings repetitions together and answers those that are known.
    fn admit(&self, queued: impl Iterator<Item = Queued<W::Command>>) -> Vec<Work<W::Command>> {
        let now = Instant::now();
        let seconds = metrics::QUEUE_SECONDS.with(&[("family", self.family())]);
        let mut fresh = Vec::new();
        for one in queued {
            seconds.record(now.duration_since(one.waiter.since).as_secs_f64());
            fresh.push(one);
        }
        let mut works = Vec::with_capacity(fresh.len());
        for work in together(fresh.into_iter()) {
            match self.recent.get(&work.pending.id).cloned() {
                Some(done) => work.done(done),
                None => works.push(work),
            }
        }
        works
    }

    /// After a restore or a failover the log may be shorter than what memory says.
    async fn follow_generation(&mut self) -> Result<(), StorageError> {
        let generation = *self.generations.borrow_and_update();
        if generation == self.generation {
            return Ok(());
        }
        self.writer.reset();
        self.recent.clear();
        self.head = batch::head(&self.db.primary().await?, self.fence.shard).await?;
        self.generation = generation;
        Ok(())
    }

    pub(super) fn family(&self) -> &'static str {
        metrics::family(self.fence.shard.family())
    }
}

fn drop_expired<C>(works: &mut Vec<Work<C>>) {
    let now = Instant::now();
    for work in works.extract_if(.., |work| work.pending.deadline <= now) {
        work.answer(&Err(SubmitError::Unavailable));
    }
}
