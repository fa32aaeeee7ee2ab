//! Commands on their way through a shard's line.

use std::collections::HashMap;

use ganglion_model::{CommandId, MatrixError};
use ganglion_proto::persister::{self, CommandReply, Done, command_reply};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::{Pending, SubmitError};

type Answer = Result<CommandReply, SubmitError>;

/// Who waits for an answer.
pub(super) struct Waiter {
    reply: oneshot::Sender<Answer>,
    pub(super) since: Instant,
}

impl Waiter {
    pub(super) fn new(reply: oneshot::Sender<Answer>) -> Self {
        Self {
            reply,
            since: Instant::now(),
        }
    }

    pub(super) fn answer(self, answer: Answer) {
        // Who is gone has passed its deadline.
        drop(self.reply.send(answer));
    }
}

/// A command as it comes into the queue.
pub(super) struct Queued<C> {
    pub(super) pending: Pending<C>,
    pub(super) waiter: Waiter,
}

/// A command in the line, with everybody who asked for it.
pub(super) struct Work<C> {
    pub(super) pending: Pending<C>,
    waiters: Vec<Waiter>,
}

impl<C> Work<C> {
    pub(super) fn answer(self, answer: &Answer) {
        for waiter in self.waiters {
            waiter.answer(answer.clone());
        }
    }

    pub(super) fn done(self, done: Done) {
        self.answer(&Ok(CommandReply {
            result: Some(command_reply::Result::Done(done)),
        }));
    }

    pub(super) fn refuse(self, error: MatrixError) {
        let error = persister::MatrixError {
            status: u32::from(error.status),
            errcode: error.errcode,
            message: error.message,
            retry_after_ms: error.retry_after_ms,
            extra: error.extra,
        };
        self.answer(&Ok(CommandReply {
            result: Some(command_reply::Result::Error(error)),
        }));
    }
}

/// Brings repetitions of a command together: it is executed once, everybody gets its answer.
pub(super) fn together<C>(queued: impl Iterator<Item = Queued<C>>) -> Vec<Work<C>> {
    let mut works: Vec<Work<C>> = Vec::new();
    let mut places: HashMap<CommandId, usize> = HashMap::new();
    for Queued { pending, waiter } in queued {
        let place = *places.entry(pending.id).or_insert(works.len());
        match works.get_mut(place) {
            Some(work) => {
                work.pending.deadline = work.pending.deadline.max(pending.deadline);
                work.waiters.push(waiter);
            }
            None => works.push(Work {
                pending,
                waiters: vec![waiter],
            }),
        }
    }
    works
}
