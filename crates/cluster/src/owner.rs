//! The owner's side: leases of shards, and for each owned shard a line of batches.
//!
//! One mechanism serves room and user shards; what a command does is a [`ShardWriter`]'s business.
//! A batch is prepared in memory, committed under the fence in one transaction, answered, and then
//! published; one is in flight per shard, and commands that come meanwhile make the next.

mod leases;
mod line;
mod metrics;
mod publisher;
mod recent;
mod work;

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ganglion_model::{Clock, CommandId, Generation, MatrixError, Position, Shard, ShardFamily};
use ganglion_proto::log::Entry;
use ganglion_proto::persister::CommandReply;
use ganglion_storage::batch::{RoomRows, UserRows};
use ganglion_storage::{Database, StorageError};
use ganglion_stream::Streams;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::membership::Cluster;
use work::{Queued, Waiter};

/// A command waiting for its turn.
#[derive(Debug)]
pub struct Pending<C> {
    /// Its identity: the same id is executed once.
    pub id: CommandId,
    /// What to do.
    pub command: C,
    /// When its caller stops waiting.
    pub deadline: Instant,
}

/// Where a batch begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchStart {
    /// The first position to give out.
    pub next: Position,
    /// The time of the batch, in milliseconds since the epoch.
    pub now_ms: i64,
}

/// What a batch will write, and what it will answer.
#[derive(Debug, Default)]
pub struct Prepared {
    /// Rows of a room shard.
    pub rooms: RoomRows,
    /// Rows of a user shard.
    pub users: UserRows,
    /// The last position used; `next - 1` if there is none.
    pub last: Position,
    /// The log entries, in order of their positions; a position without one is void.
    pub entries: Vec<Entry>,
    /// One per command, in order.
    pub outcomes: Vec<Outcome>,
}

/// What became of a command.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// It is carried out by the rows of this batch.
    Done(OutcomeDone),
    /// All is as it should be already: nothing is written for it.
    Unchanged(OutcomeDone),
    /// It is refused: nothing is written for it.
    Refused(MatrixError),
}

/// What the caller of a command learns.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OutcomeDone {
    /// The event made or found.
    pub event_id: String,
    /// What the command returns beyond that.
    pub value: String,
    /// The position after which a reader sees all of it; 0 for the end of this batch.
    pub position: Position,
}

/// Executes the commands of one shard, in memory.
pub trait ShardWriter: Send + 'static {
    /// A command on the shard.
    type Command: Send + Sync + 'static;

    /// Executes the commands in order against the state in memory (loading what is missing from the
    /// primary) and returns the rows. Positions are `start.next`, +1, … without hole.
    ///
    /// A repetition of a command that is done need not be noticed: its first answer is found.
    fn prepare(
        &mut self,
        commands: &[&Pending<Self::Command>],
        start: BatchStart,
    ) -> impl Future<Output = Result<Prepared, StorageError>> + Send;

    /// The prepared batch is committed: what memory says is true.
    fn committed(&mut self);

    /// The prepared batch is void: forget everything loaded.
    fn reset(&mut self);
}

/// Why a command has no answer here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// Another instance owns the shard, or will; `epoch` is the newest that is known here.
    #[error("this instance does not own the shard (epoch {epoch})")]
    WrongOwner {
        /// The newest epoch known here.
        epoch: i64,
    },
    /// The shard's queue is full.
    #[error("the shard's queue is full")]
    Busy,
    /// The outcome is unknown, or nothing can be written at the moment: repeat with the same id.
    #[error("the outcome is unknown")]
    Unavailable,
}

/// What the leases of one family need.
pub struct Start {
    /// This process's place in the cluster.
    pub cluster: Cluster,
    /// Its pools.
    pub db: Database,
    /// Where batches are published.
    pub streams: Streams,
    /// Which shards.
    pub family: ShardFamily,
    /// Heartbeats and leases.
    pub settings: ganglion_config::Cluster,
    /// Bounds of queues.
    pub limits: ganglion_config::Limits,
    /// Wall-clock time.
    pub clock: Clock,
    /// Ends all tasks; cancelled after [`Owners::release_all`].
    pub stop: CancellationToken,
    /// Where tasks are counted.
    pub tasks: TaskTracker,
}

/// The shards of one family that this process owns; a clone is a handle on the same.
pub struct Owners<W: ShardWriter>(Arc<Inner<W>>);

impl<W: ShardWriter> Clone for Owners<W> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

struct Inner<W: ShardWriter> {
    start: Start,
    factory: Box<dyn Fn(Shard) -> W + Send + Sync>,
    slots: Mutex<Vec<Slot<W::Command>>>,
    owned: watch::Sender<Vec<Shard>>,
    /// The generation under way; 0 until it is known.
    generation: watch::Sender<Generation>,
    /// Leases are taken and released by one task at a time.
    turn: tokio::sync::Mutex<()>,
}

/// An owned shard.
struct Slot<C> {
    shard: Shard,
    epoch: i64,
    since: Instant,
    queue: mpsc::Sender<Queued<C>>,
    stop: CancellationToken,
    ended: CancellationToken,
}

impl<W: ShardWriter> Owners<W> {
    /// Begins to take the shards that this process should own; `factory` makes the writer of each.
    pub fn start(start: Start, factory: impl Fn(Shard) -> W + Send + Sync + 'static) -> Self {
        let tasks = start.tasks.clone();
        let owners = Self(Arc::new(Inner {
            start,
            factory: Box::new(factory),
            slots: Mutex::new(Vec::new()),
            owned: watch::Sender::new(Vec::new()),
            generation: watch::Sender::new(0),
            turn: tokio::sync::Mutex::new(()),
        }));
        tasks.spawn(leases::run(owners.clone()));
        owners
    }

    /// Executes a command on a shard, once, and waits for its answer until its deadline.
    ///
    /// # Errors
    /// As [`SubmitError`] says; each allows a repetition with the same id.
    pub async fn submit(
        &self,
        shard: Shard,
        pending: Pending<W::Command>,
    ) -> Result<CommandReply, SubmitError> {
        let cluster = &self.0.start.cluster;
        let queue = self
            .slots()
            .iter()
            .find(|slot| slot.shard == shard)
            .map(|s| s.queue.clone());
        let wrong_owner = || {
            let epoch = cluster.shard_map().row(shard).map_or(0, |row| row.epoch);
            SubmitError::WrongOwner { epoch }
        };
        let queue = queue.ok_or_else(wrong_owner)?;
        if !cluster.is_confirmed() {
            return Err(SubmitError::Unavailable);
        }
        let (reply, answer) = oneshot::channel();
        let deadline = pending.deadline;
        let waiter = Waiter::new(reply);
        match queue.try_send(Queued { pending, waiter }) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(_)) => return Err(SubmitError::Busy),
            Err(mpsc::error::TrySendError::Closed(_)) => return Err(wrong_owner()),
        }
        match tokio::time::timeout_at(deadline, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) | Err(_) => Err(SubmitError::Unavailable),
        }
    }

    /// Hands all shards over: others see that this process is draining, no command is accepted any
    /// more, what is in flight is finished, and the leases are given up.
    pub async fn release_all(&self) {
        self.0.start.cluster.drain().await;
        let _turn = self.0.turn.lock().await;
        let slots = std::mem::take(&mut *self.slots());
        self.tell_owned();
        futures_util::future::join_all(slots.into_iter().map(|slot| self.release(slot))).await;
    }

    /// The shards that this process owns.
    #[must_use]
    pub fn owned(&self) -> Vec<Shard> {
        self.0.owned.borrow().clone()
    }

    /// Sees every change of [`Owners::owned`].
    #[must_use]
    pub fn owned_changes(&self) -> watch::Receiver<Vec<Shard>> {
        self.0.owned.subscribe()
    }

    fn slots(&self) -> MutexGuard<'_, Vec<Slot<W::Command>>> {
        self.0.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell_owned(&self) {
        let mut owned: Vec<Shard> = self.slots().iter().map(|slot| slot.shard).collect();
        owned.sort_unstable();
        metrics::OWNED
            .with(&[("family", metrics::family(self.0.start.family))])
            .set(f64::from(u8::try_from(owned.len()).unwrap_or(u8::MAX)));
        self.0.owned.send_replace(owned);
    }
}
