//! The writer of one of the consumer's logs: how far a room shard was read, and what was found there.

use ganglion_cluster::owner::{BatchStart, Outcome, OutcomeDone, Pending, Prepared, ShardWriter};
use ganglion_model::{MatrixError, Position};
use ganglion_storage::StorageError;
use ganglion_storage::batch::{ExceptionRow, RoomRows};
use ganglion_storage::timeline::Range;

/// A page of a room shard's log, judged.
#[derive(Debug)]
pub(crate) struct Page {
    /// What was read: it begins where the consumer had come to.
    pub(crate) range: Range,
    pub(crate) exceptions: Vec<ExceptionRow>,
}

/// It holds nothing: all that matters is where its log ends.
pub(crate) struct PushShard;

impl ShardWriter for PushShard {
    type Command = Page;

    async fn prepare(
        &mut self,
        commands: &[&Pending<Page>],
        start: BatchStart,
    ) -> Result<Prepared, StorageError> {
        let mut last = start.next - 1;
        let mut rooms = RoomRows::default();
        let mut outcomes = Vec::with_capacity(commands.len());
        for page in commands.iter().map(|pending| &pending.command) {
            if page.range.after != last || page.range.up_to <= last {
                let message = "the log was not read up to here";
                outcomes.push(Outcome::Refused(MatrixError::new(
                    409,
                    "M_UNKNOWN",
                    message,
                )));
                continue;
            }
            last = page.range.up_to;
            rooms.exceptions.extend(page.exceptions.iter().cloned());
            outcomes.push(done(last));
        }
        Ok(Prepared {
            rooms,
            last,
            outcomes,
            ..Prepared::default()
        })
    }

    fn committed(&mut self) {}

    fn reset(&mut self) {}
}

fn done(position: Position) -> Outcome {
    Outcome::Done(OutcomeDone {
        position,
        ..OutcomeDone::default()
    })
}

#[cfg(test)]
mod tests {
    use ganglion_model::CommandId;

    use super::*;

    fn page(after: Position, up_to: Position) -> Pending<Page> {
        Pending {
            id: CommandId::random(),
            command: Page {
                range: Range { after, up_to },
                exceptions: Vec::new(),
            },
            deadline: tokio::time::Instant::now(),
        }
    }

    #[tokio::test]
    async fn pages_follow_each_other_without_a_hole() {
        let pages = [page(4, 9), page(4, 9), page(10, 12), page(9, 11)];
        let pages: Vec<&Pending<Page>> = pages.iter().collect();
        let start = BatchStart { next: 5, now_ms: 0 };
        let prepared = PushShard.prepare(&pages, start).await.unwrap();
        assert_eq!(prepared.last, 11);
        let done: Vec<bool> = prepared
            .outcomes
            .iter()
            .map(|outcome| matches!(outcome, Outcome::Done(_)))
            .collect();
        assert_eq!(done, [true, false, false, true]);
    }
}
