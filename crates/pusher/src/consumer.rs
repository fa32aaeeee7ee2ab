//! Reads the logs of the room shards that this process has, page by page.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ganglion_cluster::Follower;
use ganglion_cluster::owner::{Owners, Pending, SubmitError};
use ganglion_model::{CommandId, MatrixError, Position, Shard};
use ganglion_proto::log;
use ganglion_proto::persister::command_reply::Result as ReplyResult;
use ganglion_rooms::{Rooms, View};
use ganglion_storage::log::kind;
use ganglion_storage::timeline::Range;
use ganglion_storage::{Database, StorageError, batch};
use ganglion_telemetry::metrics::{Counter, Gauge};
use prost::Message as _;
use ruma::OwnedServerName;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::judge::Judge;
use crate::rules::Rules;
use crate::shard::{Page, PushShard};

static EVENTS: Counter = Counter::new("ganglion_push_events_total", "Events judged by push rules.");
static EXCEPTIONS: Counter = Counter::new(
    "ganglion_push_exceptions_total",
    "Rows written where a user's push rules say something else than the default ones.",
);
static FAILURES: Counter = Counter::new(
    "ganglion_push_failures_total",
    "Pages of a room shard's log that could not be judged or written, and are tried again.",
);
static LAG: Gauge = Gauge::new(
    "ganglion_push_lag_seconds",
    "For how long the room shard that is furthest behind has not been read to its end.",
);

/// Positions that are read at once.
const PAGE: i64 = 200;
/// How long a shard rests after a failure.
const REST: Duration = Duration::from_secs(1);
/// How often is looked for more without being told of it, and how often the lag is told.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Since when shards have not been read to their end.
type Behind = Arc<Mutex<HashMap<Shard, Instant>>>;

/// Works on the shards that this process owns.
#[derive(Clone)]
pub(crate) struct Consumers {
    pub(crate) db: Database,
    pub(crate) rooms: Rooms,
    pub(crate) rules: Rules,
    pub(crate) server_name: OwnedServerName,
    pub(crate) follower: Follower,
    pub(crate) owners: Owners<PushShard>,
    /// How long the writing of a page may take.
    pub(crate) deadline: Duration,
}

/// Why a page is tried again.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error(transparent)]
    Submit(#[from] SubmitError),
    #[error("a page was refused: {0}")]
    Refused(MatrixError),
}

impl Consumers {
    /// Works until `stop` is cancelled. A page that is cut off is read again by the next owner.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let behind = Behind::default();
        let mut changes = self.owners.owned_changes();
        let mut tasks = JoinSet::new();
        let mut running: HashMap<Shard, CancellationToken> = HashMap::new();
        loop {
            let owned = changes.borrow_and_update().clone();
            running.retain(|shard, token| {
                let keep = owned.contains(shard);
                if !keep {
                    token.cancel();
                }
                keep
            });
            for shard in owned {
                running.entry(shard).or_insert_with(|| {
                    let token = stop.child_token();
                    tasks.spawn(self.clone().consume(shard, behind.clone(), token.clone()));
                    token
                });
            }
            tokio::select! {
                () = stop.cancelled() => return,
                changed = changes.changed() => if changed.is_err() { return },
                Some(ended) = tasks.join_next() => {
                    // A bug: the process ends, and others take over.
                    if let Err(error) = ended
                        && error.is_panic()
                    {
                        std::panic::resume_unwind(error.into_panic());
                    }
                }
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            let longest = lock(&behind).values().map(Instant::elapsed).max();
            LAG.set(longest.unwrap_or_default().as_secs_f64());
        }
    }

    async fn consume(self, shard: Shard, behind: Behind, stop: CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.work(shard, &behind) => {}
        }
        lock(&behind).remove(&shard);
    }

    async fn work(&self, shard: Shard, behind: &Behind) {
        let Some(read) = shard.read_by_push() else {
            return;
        };
        let server = self.server_name.clone();
        let mut judge = Judge::new((self.rooms.clone(), self.rules.clone()), read, server);
        let mut at = None;
        loop {
            if let Some(at) = at
                && !self.follower.reached(read, at + 1, LOOK_EVERY).await
            {
                continue;
            }
            match self.step(&mut judge, (shard, read), &mut at).await {
                Ok(true) => {
                    lock(behind).remove(&shard);
                }
                Ok(false) => {
                    lock(behind).entry(shard).or_insert_with(Instant::now);
                }
                Err(error) => {
                    FAILURES.increment(1);
                    tracing::warn!(error = %error, shard = %read, "a page is tried again");
                    lock(behind).entry(shard).or_insert_with(Instant::now);
                    at = None;
                    judge.forget();
                    tokio::time::sleep(REST).await;
                }
            }
        }
    }

    /// Reads, judges and writes one page, if there is one; true if that was all. `at` is how far the
    /// log was read, if that is known.
    async fn step(
        &self,
        judge: &mut Judge,
        (shard, read): (Shard, Shard),
        at: &mut Option<Position>,
    ) -> Result<bool, Failure> {
        let after = match *at {
            Some(at) => at,
            None => batch::head(&self.db.primary().await?, shard).await?,
        };
        *at = Some(after);
        // Before the snapshot: what changes from here on is looked at again with the next page.
        judge.begin();
        let mut view = View::new(&self.db, None);
        let snapshot = view.snapshot().await?;
        let heads = snapshot.heads().await?;
        let head = heads.get(read);
        let up_to = head.min(after + PAGE);
        if up_to <= after {
            return Ok(true);
        }
        // An event that follows a change of rules is judged by the new ones.
        if !self.follower.reached_all(&heads, LOOK_EVERY).await {
            return Ok(false);
        }
        let range = Range { after, up_to };
        let mut exceptions = Vec::new();
        for entry in ganglion_storage::log::entries(snapshot, read, range).await? {
            if entry.kind == kind::STATE_REPLACED {
                // It may have changed memberships that no entry shows.
                judge.forget();
            }
            if entry.kind != kind::EVENT {
                continue;
            }
            let event = log::Event::decode(entry.payload)
                .map_err(|error| StorageError::inconsistent(format!("a log entry: {error}")))?;
            exceptions.extend(judge.exceptions(&mut view, event, entry.pos).await?);
            EVENTS.increment(1);
        }
        drop(view);
        let count = exceptions.len();
        self.submit(shard, Page { range, exceptions }).await?;
        EXCEPTIONS.increment(u64::try_from(count).unwrap_or(0));
        *at = Some(up_to);
        Ok(up_to == head)
    }

    async fn submit(&self, shard: Shard, page: Page) -> Result<(), Failure> {
        let pending = Pending {
            id: CommandId::random(),
            command: page,
            deadline: Instant::now() + self.deadline,
        };
        let reply = self.owners.submit(shard, pending).await?;
        match reply.result {
            Some(ReplyResult::Done(_)) => Ok(()),
            Some(ReplyResult::Error(error)) => Err(Failure::Refused(MatrixError::new(
                u16::try_from(error.status).unwrap_or(500),
                &error.errcode,
                error.message,
            ))),
            None => Err(Failure::Refused(MatrixError::internal())),
        }
    }
}

fn lock(behind: &Behind) -> std::sync::MutexGuard<'_, HashMap<Shard, Instant>> {
    behind.lock().unwrap_or_else(PoisonError::into_inner)
}
