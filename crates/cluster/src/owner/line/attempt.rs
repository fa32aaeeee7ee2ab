//! One attempt at a batch: prepare, commit, answer, hand over for publication.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt as _;
use ganglion_model::{CommandId, MatrixError, Position};
use ganglion_proto::log;
use ganglion_proto::persister::Done;
use ganglion_storage::batch::{self, CommandRow, Span};
use ganglion_storage::{Batch, BatchError, StorageError, fabric};
use prost::Message as _;

use super::Line;
use crate::backoff::Backoff;
use crate::owner::work::Work;
use crate::owner::{BatchStart, Outcome, OutcomeDone, Pending, Prepared, ShardWriter, metrics};

/// The lease is lost: nothing may be written any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lost;

/// What an attempt came to.
pub(super) enum Attempt {
    /// Everybody is answered.
    Answered,
    /// Some are answered; the rest is to be tried again at once.
    Again,
    /// PostgreSQL is away: nothing is written, try again in a moment.
    Later,
    /// Something among these commands cannot be stored; the answer is for the one that it is.
    Refused(MatrixError),
}

/// First answers of commands that were done before.
type Answers = HashMap<CommandId, Done>;

impl<W: ShardWriter> Line<W> {
    /// Tries these commands as one batch; those that are answered are taken out.
    pub(super) async fn attempt(
        &mut self,
        works: &mut Vec<Work<W::Command>>,
    ) -> Result<Attempt, Lost> {
        let family = self.family();
        metrics::BATCH_COMMANDS
            .with(&[("family", family)])
            .record(f64::from(u32::try_from(works.len()).unwrap_or(u32::MAX)));
        let start = BatchStart {
            next: self.head + 1,
            now_ms: self.clock.now_ms(),
        };
        let prepared = match self.prepare(works, start).await {
            Ok(prepared) => prepared,
            Err(error) => return Ok(self.failed(error)),
        };
        let Prepared {
            rooms,
            users,
            last,
            entries,
            outcomes,
        } = prepared;
        let span = Span {
            first: start.next,
            last,
            at_ms: start.now_ms,
        };
        let batch = Batch {
            span: (last >= start.next).then_some(span),
            commands: command_rows(works, &outcomes, last, self.fence.shard.number()),
            rooms,
            users,
        };
        let repeatable: Vec<CommandId> = works
            .iter()
            .zip(&outcomes)
            .filter(|(_, outcome)| !matches!(outcome, Outcome::Done(_)))
            .map(|(work, _)| work.pending.id)
            .collect();
        let writes = batch.span.is_some() || !batch.commands.is_empty();
        let first_answers = match self.first_answers(&repeatable, !writes).await {
            Ok(Some(answers)) => answers,
            Ok(None) => return Err(Lost),
            Err(error) => return Ok(self.failed(error)),
        };
        if !writes {
            self.count("nothing");
            self.writer.committed();
            self.answer(works, outcomes, &first_answers);
            return Ok(Attempt::Answered);
        }
        match self.commit(&batch, start.now_ms).await {
            Ok(()) => {
                self.count("committed");
                self.head = last;
                self.writer.committed();
                self.answer(works, outcomes, &first_answers);
                self.publish(&batch, entries);
                Ok(Attempt::Answered)
            }
            Err(error) => self.not_committed(works, &batch, entries, error).await,
        }
    }

    async fn prepare(
        &mut self,
        works: &[Work<W::Command>],
        start: BatchStart,
    ) -> Result<Prepared, StorageError> {
        let commands: Vec<&Pending<W::Command>> = works.iter().map(|work| &work.pending).collect();
        // A fault in one command's execution must not end the process, nor the shard.
        let prepared = AssertUnwindSafe(self.writer.prepare(&commands, start))
            .catch_unwind()
            .await;
        let prepared = prepared.map_err(|_panic| {
            StorageError::inconsistent("the execution of a command panicked")
        })??;
        let in_order = prepared
            .entries
            .iter()
            .try_fold(start.next - 1, |before, entry| {
                (before < entry.pos && entry.pos <= prepared.last).then_some(entry.pos)
            });
        if prepared.outcomes.len() != works.len()
            || prepared.last < start.next - 1
            || in_order.is_none()
        {
            return Err(StorageError::inconsistent(
                "a writer broke the rules of a batch",
            ));
        }
        Ok(prepared)
    }

    /// The first answers of these commands; `None` if the lease is lost, which is asked only if no
    /// commit will find out.
    async fn first_answers(
        &mut self,
        ids: &[CommandId],
        check_lease: bool,
    ) -> Result<Option<Answers>, StorageError> {
        if ids.is_empty() && !check_lease {
            return Ok(Some(Answers::new()));
        }
        let connection = self.db.primary().await?;
        let holds = async {
            if check_lease {
                fabric::holds(&connection, &self.fence).await
            } else {
                Ok(true)
            }
        };
        let found = batch::find_commands(&connection, self.fence.shard, ids);
        let (holds, found) = futures_util::try_join!(holds, found)?;
        Ok(if holds { Some(decode(found)?) } else { None })
    }

    async fn commit(&mut self, batch: &Batch, now_ms: i64) -> Result<(), BatchError> {
        let connection = self.db.primary().await.map_err(BatchError::Unavailable)?;
        Box::pin(batch::commit(connection, &self.fence, batch, now_ms)).await
    }

    async fn not_committed(
        &mut self,
        works: &mut Vec<Work<W::Command>>,
        batch: &Batch,
        entries: Vec<log::Entry>,
        error: BatchError,
    ) -> Result<Attempt, Lost> {
        match error {
            BatchError::Fenced => {
                self.count("fenced");
                Err(Lost)
            }
            BatchError::Unavailable(error) => Ok(self.failed(error)),
            BatchError::Refused(error) if is_repetition(&error) => {
                self.count("refused");
                self.reset();
                let before = works.len();
                let found = self.recover(works, batch, entries).await;
                // Nobody was the repetition: whatever it is, it must not go round for ever.
                found.map(|()| {
                    if works.len() < before || works.is_empty() {
                        Attempt::Again
                    } else {
                        Attempt::Refused(MatrixError::internal())
                    }
                })
            }
            BatchError::Refused(error) => Ok(self.failed(error)),
            BatchError::Unknown(error) => {
                self.count("unknown");
                tracing::warn!(error = %error, "the outcome of a batch is unknown");
                self.reset();
                self.recover(works, batch, entries)
                    .await
                    .map(|()| Attempt::Again)
            }
        }
    }

    /// Finds out what is written, asking until PostgreSQL answers, and answers the commands that are.
    async fn recover(
        &mut self,
        works: &mut Vec<Work<W::Command>>,
        batch: &Batch,
        entries: Vec<log::Entry>,
    ) -> Result<(), Lost> {
        let ids: Vec<CommandId> = works.iter().map(|work| work.pending.id).collect();
        let mut backoff = Backoff::new(Duration::from_millis(20), Duration::from_secs(1));
        let (head, found) = loop {
            match self.reread(&ids).await {
                Ok(Some(answer)) => break answer,
                Ok(None) => return Err(Lost),
                Err(error) => tracing::warn!(error = %error, "the head cannot be read"),
            }
            tokio::select! {
                () = self.stop.cancelled() => return Err(Lost),
                () = tokio::time::sleep(backoff.delay()) => {}
            }
        };
        self.head = head;
        for work in works.extract_if(.., |work| found.contains_key(&work.pending.id)) {
            if let Some(done) = found.get(&work.pending.id) {
                self.recent.add(work.pending.id, done.clone());
                work.done(done.clone());
            }
        }
        if batch.span.is_some_and(|span| span.last == head) {
            self.publish(batch, entries);
        }
        Ok(())
    }

    async fn reread(
        &mut self,
        ids: &[CommandId],
    ) -> Result<Option<(Position, Answers)>, StorageError> {
        let connection = self.db.primary().await?;
        let shard = self.fence.shard;
        let (holds, head, found) = futures_util::try_join!(
            fabric::holds(&connection, &self.fence),
            batch::head(&connection, shard),
            batch::find_commands(&connection, shard, ids),
        )?;
        Ok(if holds {
            Some((head, decode(found)?))
        } else {
            None
        })
    }

    fn answer(
        &mut self,
        works: &mut Vec<Work<W::Command>>,
        outcomes: Vec<Outcome>,
        first_answers: &Answers,
    ) {
        for (work, outcome) in works.drain(..).zip(outcomes) {
            if let Some(done) = first_answers.get(&work.pending.id) {
                work.done(done.clone());
                continue;
            }
            match outcome {
                Outcome::Done(done) => {
                    let done = done_of(&done, self.head, self.fence.shard.number());
                    self.recent.add(work.pending.id, done.clone());
                    work.done(done);
                }
                Outcome::Unchanged(done) => {
                    work.done(done_of(&done, self.head, self.fence.shard.number()));
                }
                Outcome::Refused(error) => work.refuse(error),
            }
        }
    }

    fn publish(&self, batch: &Batch, entries: Vec<log::Entry>) {
        let Some(span) = batch.span else { return };
        self.publisher.push(log::Batch {
            shard: u32::from(self.fence.shard.number().unsigned_abs()),
            generation: self.generation,
            first_pos: span.first,
            last_pos: span.last,
            at_ms: span.at_ms,
            entries,
        });
    }

    /// Nothing is written: by what went wrong, whether to wait or to look for the offender.
    fn failed(&mut self, error: StorageError) -> Attempt {
        if error.is_transient() {
            return self.later(error);
        }
        self.count("refused");
        self.reset();
        tracing::warn!(error = %error, "a batch was refused");
        Attempt::Refused(match error {
            StorageError::Refused(_) => MatrixError::new(400, "M_UNKNOWN", "cannot be stored"),
            _ => MatrixError::internal(),
        })
    }

    pub(super) fn later(&mut self, error: StorageError) -> Attempt {
        self.count("unavailable");
        self.reset();
        tracing::debug!(error = %error, "a batch has to wait");
        Attempt::Later
    }

    fn reset(&mut self) {
        self.writer.reset();
    }

    fn count(&self, outcome: &str) {
        metrics::BATCHES
            .with(&[("family", self.family()), ("outcome", outcome)])
            .increment(1);
    }
}

/// A unique key of ours refused: a command was done before, or a batch whose outcome was unknown is
/// written after all.
fn is_repetition(error: &StorageError) -> bool {
    // Constraints of partitions begin with the partition's name, which begins with the table's.
    let ours = |name: &str| name.starts_with("commands") || name.starts_with("batches");
    error.is_unique_violation() && error.constraint().is_some_and(ours)
}

fn command_rows<C>(
    works: &[Work<C>],
    outcomes: &[Outcome],
    head: Position,
    shard: i16,
) -> Vec<CommandRow> {
    let row = |(work, outcome): (&Work<C>, &Outcome)| match outcome {
        Outcome::Done(done) => {
            let reply = done_of(done, head, shard).encode_to_vec();
            Some(CommandRow {
                id: work.pending.id,
                reply,
            })
        }
        Outcome::Unchanged(_) | Outcome::Refused(_) => None,
    };
    works.iter().zip(outcomes).filter_map(row).collect()
}

fn done_of(done: &OutcomeDone, head: Position, shard: i16) -> Done {
    Done {
        shard: u32::from(shard.unsigned_abs()),
        position: if done.position == 0 {
            head
        } else {
            done.position
        },
        event_id: done.event_id.clone(),
        value: done.value.clone(),
    }
}

fn decode(found: Vec<(CommandId, Vec<u8>)>) -> Result<Answers, StorageError> {
    found
        .into_iter()
        .map(|(id, reply)| {
            let done = Done::decode(reply.as_slice())
                .map_err(|error| StorageError::inconsistent(format!("commands.reply: {error}")))?;
            Ok((id, done))
        })
        .collect()
}
