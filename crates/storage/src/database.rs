//! Pools, and the read barrier that keeps reads on replicas fresh (docs/architecture.md, "Reads").

use std::str::FromStr as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod, Runtime, Timeouts};
use ganglion_config::Postgres;
use ganglion_model::shard::ALL_SHARDS;
use ganglion_model::{Generation, Position, Shard, Vector};
use ganglion_telemetry::metrics::Counter;
use tokio::sync::{Mutex, oneshot};
use tokio::time::Instant;
use tokio_postgres::types::{PgLsn, Type};
use tokio_postgres::{Config as PgConfig, NoTls};

use crate::connection::Connection;
use crate::error::StorageError;

static READS: Counter = Counter::new(
    "ganglion_storage_reads_total",
    "Reads by where they went: replica, primary_behind, primary_only, primary_failed.",
);

/// The heads of all shard logs: the last position of each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heads {
    /// The generation these positions belong to.
    pub generation: Generation,
    positions: [Position; ALL_SHARDS as usize],
}

impl Heads {
    /// The last position of a shard; 0 if it has none.
    #[must_use]
    pub fn get(&self, shard: Shard) -> Position {
        self.positions.get(shard.index()).copied().unwrap_or(0)
    }

    /// The heads of the room shards.
    #[must_use]
    pub fn rooms(&self) -> Vector {
        let mut vector = Vector::ZERO;
        for shard in Shard::rooms() {
            vector.set(shard, self.get(shard));
        }
        vector
    }
}

/// What the primary had written when the barrier was raised: a read behind it sees all of that.
#[derive(Debug, Clone)]
pub struct Barrier {
    lsn: PgLsn,
    /// The heads at that moment.
    pub heads: Heads,
}

/// The pools of one process.
#[derive(Clone)]
pub struct Database(Arc<Inner>);

struct Inner {
    primary: Pool,
    /// For barriers and heads alone: who holds a view must get them however many views there are.
    control: Pool,
    replicas: Vec<Replica>,
    next_replica: AtomicUsize,
    timeout: Duration,
    replica_wait: Duration,
    primary_reads: Mutex<Allowance>,
    barrier_queue: Mutex<Vec<oneshot::Sender<Option<Barrier>>>>,
    barrier_turn: Mutex<()>,
}

/// One barrier is asked for at a time, and the heads once a second.
const CONTROL_POOL: usize = 2;

/// A replica, and until when it is left alone because it did not answer.
struct Replica {
    pool: Pool,
    rests_until: std::sync::Mutex<Option<Instant>>,
}

/// How long a replica that failed is left alone, and how long it may take to answer at all beyond
/// `replica_wait_ms`: one that hangs must not cost every read a timeout.
const REPLICA_REST: Duration = Duration::from_secs(1);
const REPLICA_PATIENCE: Duration = Duration::from_millis(500);

impl Replica {
    fn rests(&self) -> bool {
        let until = self
            .rests_until
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        until.is_some_and(|until| Instant::now() < until)
    }

    fn rest(&self) {
        let mut until = self
            .rests_until
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        *until = Some(Instant::now() + REPLICA_REST);
    }
}

/// A token bucket: reads that may go to the primary because a replica is behind.
struct Allowance {
    left: f64,
    per_second: f64,
    at: Instant,
}

impl Allowance {
    fn take(&mut self) -> bool {
        let now = Instant::now();
        let gained = now.duration_since(self.at).as_secs_f64() * self.per_second;
        self.left = (self.left + gained).min(self.per_second);
        self.at = now;
        if self.left < 1.0 {
            return false;
        }
        self.left -= 1.0;
        true
    }
}

const HEADS: &str = "SELECT s.shard, \
    (SELECT b.last_pos FROM batches b WHERE b.shard = s.shard ORDER BY b.first_pos DESC LIMIT 1), \
    (SELECT g.generation FROM generations g ORDER BY g.generation DESC LIMIT 1) \
    FROM shards s";
const BARRIER_LSN: &str = "SELECT pg_current_wal_flush_lsn()";
// The table in which the migrations are noted.
const SCHEMA: &str = "SELECT max(version) FROM _sqlx_migrations WHERE success";
const REPLAYED: &str = "SELECT coalesce(pg_last_wal_replay_lsn(), '0/0'::pg_lsn) >= $1";

/// Every statement of this module that has a plan.
pub(crate) const STATEMENTS: &[&str] = &[HEADS, BARRIER_LSN, REPLAYED, SCHEMA];

impl Database {
    /// Opens pools; no connection is made yet.
    ///
    /// `application_name` is how a successor finds and ends the connections of a stopped owner.
    ///
    /// # Errors
    /// A message for the operator if an address or the password file cannot be used.
    pub fn open(config: &Postgres, application_name: &str) -> Result<Self, String> {
        let timeout = Duration::from_millis(config.timeout_ms);
        let password = match &config.password_file {
            Some(path) => Some(
                std::fs::read_to_string(path)
                    .map_err(|error| format!("postgres.password_file {}: {error}", path.display()))?
                    .trim()
                    .to_owned(),
            ),
            None => None,
        };
        let pool = |address: &str, size: usize| {
            open_pool(
                address,
                size,
                timeout,
                application_name,
                password.as_deref(),
            )
        };
        let replicas = config
            .replicas
            .iter()
            .map(|address| {
                let pool = pool(address, config.replica_pool)?;
                Ok(Replica {
                    pool,
                    rests_until: std::sync::Mutex::new(None),
                })
            })
            .collect::<Result<_, String>>()?;
        let per_second = f64::from(config.primary_reads_per_second);
        Ok(Self(Arc::new(Inner {
            primary: pool(&config.primary, config.primary_pool)?,
            control: pool(&config.primary, CONTROL_POOL)?,
            replicas,
            next_replica: AtomicUsize::new(0),
            timeout,
            replica_wait: Duration::from_millis(config.replica_wait_ms),
            primary_reads: Mutex::new(Allowance {
                left: per_second,
                per_second,
                at: Instant::now(),
            }),
            barrier_queue: Mutex::new(Vec::new()),
            barrier_turn: Mutex::new(()),
        })))
    }

    /// Whether the schema has all that this release needs; a role asks before it does anything.
    ///
    /// # Errors
    /// A message for the operator if it has not, or if the primary does not answer.
    pub async fn check_schema(&self) -> Result<(), String> {
        let asked = async { self.primary().await?.query_opt(SCHEMA, &[]).await };
        let row = asked
            .await
            .map_err(|error| format!("the schema's version: {error}"))?;
        let found = row
            .and_then(|row| row.get::<_, Option<i64>>(0))
            .unwrap_or(0);
        if found < crate::SCHEMA_VERSION {
            let needed = crate::SCHEMA_VERSION;
            return Err(format!(
                "the schema is at migration {found}, this release needs {needed}: run `ganglion migrate`"
            ));
        }
        Ok(())
    }

    /// A connection to the primary, in no transaction.
    ///
    /// # Errors
    /// `Unavailable` if there is none in time.
    pub async fn primary(&self) -> Result<Connection, StorageError> {
        Ok(Connection::new(self.0.primary.get().await?, self.0.timeout))
    }

    async fn control(&self) -> Result<Connection, StorageError> {
        Ok(Connection::new(self.0.control.get().await?, self.0.timeout))
    }

    /// Asks the primary how far it has come; one question answers all who wait at that moment.
    ///
    /// A request raises it before it reads anything, so that it sees every write that was answered
    /// before the request came, whichever instance took that write.
    ///
    /// # Errors
    /// `Unavailable` if the primary does not answer.
    pub async fn barrier(&self) -> Result<Barrier, StorageError> {
        let (sender, mut answer) = oneshot::channel();
        self.0.barrier_queue.lock().await.push(sender);
        // Whoever gets the turn asks for everybody in the queue at that moment, itself included
        // unless the holder before it did so already.
        let _turn = self.0.barrier_turn.lock().await;
        if let Ok(done) = answer.try_recv() {
            return done.ok_or_else(no_barrier);
        }
        let waiting = std::mem::take(&mut *self.0.barrier_queue.lock().await);
        let barrier = self.ask_barrier().await;
        for sender in waiting {
            // A receiver that is gone gave up waiting.
            drop(sender.send(barrier.as_ref().ok().cloned()));
        }
        barrier
    }

    async fn ask_barrier(&self) -> Result<Barrier, StorageError> {
        let connection = self.control().await?;
        // Heads first: the flush position asked for afterwards is behind all that they count.
        let (rows, lsn) = futures_util::try_join!(
            connection.query(HEADS, &[]),
            connection.query(BARRIER_LSN, &[])
        )?;
        let heads = decode_heads(&rows)?;
        let lsn: PgLsn = lsn
            .first()
            .ok_or_else(|| StorageError::inconsistent("pg_current_wal_flush_lsn: no row"))?
            .try_get(0)?;
        Ok(Barrier { lsn, heads })
    }

    /// The heads of all logs as the primary has them now.
    ///
    /// # Errors
    /// `Unavailable` if the primary does not answer.
    pub async fn heads(&self) -> Result<Heads, StorageError> {
        decode_heads(&self.control().await?.query(HEADS, &[]).await?)
    }

    /// A read-only snapshot at or behind `barrier`: on a replica that has replayed to it, or on the
    /// primary if none has within `replica_wait_ms`.
    ///
    /// # Errors
    /// `Unavailable` if no server can be reached or the primary's share of such reads is used up.
    pub async fn read(&self, barrier: &Barrier) -> Result<Snapshot, StorageError> {
        let count = self.0.replicas.len();
        if count == 0 {
            READS.with(&[("to", "primary_only")]).increment(1);
            return Snapshot::begin(self.primary().await?).await;
        }
        let start = self.0.next_replica.fetch_add(1, Ordering::Relaxed);
        let mut failed = false;
        for offset in 0..count {
            let Some(replica) = self.0.replicas.get((start + offset) % count) else {
                continue;
            };
            if replica.rests() {
                failed = true;
                continue;
            }
            let patience = self.0.replica_wait + REPLICA_PATIENCE;
            let read = self.read_replica(&replica.pool, barrier);
            let error = match tokio::time::timeout(patience, read).await {
                Ok(Ok(Some(snapshot))) => {
                    READS.with(&[("to", "replica")]).increment(1);
                    return Ok(snapshot);
                }
                Ok(Ok(None)) => continue,
                Ok(Err(error)) => error,
                Err(_elapsed) => StorageError::Unavailable("no answer in time".to_owned()),
            };
            failed = true;
            replica.rest();
            tracing::debug!(error = %error, "a replica cannot be read");
        }
        if !self.0.primary_reads.lock().await.take() {
            return Err(StorageError::Unavailable(
                "replicas are behind and the primary's share of reads is used up".to_owned(),
            ));
        }
        let to = if failed {
            "primary_failed"
        } else {
            "primary_behind"
        };
        READS.with(&[("to", to)]).increment(1);
        Snapshot::begin(self.primary().await?).await
    }

    async fn read_replica(
        &self,
        pool: &Pool,
        barrier: &Barrier,
    ) -> Result<Option<Snapshot>, StorageError> {
        let deadline = Instant::now() + self.0.replica_wait;
        loop {
            let connection = Connection::new(pool.get().await?, self.0.timeout);
            let snapshot = Snapshot {
                connection: Some(connection),
            };
            // In one round trip, but the check stands before the transaction: within it, the
            // snapshot would be taken before the check, and what is replayed in between be missed.
            let params = [(&barrier.lsn as _, Type::PG_LSN)];
            let (row, ()) = futures_util::try_join!(
                snapshot.query_opt(REPLAYED, &params),
                snapshot.run(BEGIN_READ)
            )?;
            if row.map_or(Ok(false), |row| row.try_get(0))? {
                return Ok(Some(snapshot));
            }
            drop(snapshot);
            if Instant::now() >= deadline {
                return Ok(None);
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

const BEGIN_READ: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// A read-only view of the whole database at one moment, on a replica or the primary.
pub struct Snapshot {
    connection: Option<Connection>,
}

impl Snapshot {
    async fn begin(connection: Connection) -> Result<Self, StorageError> {
        // Made first: dropped half way, the connection must not keep a transaction open.
        let snapshot = Self {
            connection: Some(connection),
        };
        snapshot.run(BEGIN_READ).await?;
        Ok(snapshot)
    }

    /// The heads of all logs in this view: what it shows is exactly what they count.
    ///
    /// # Errors
    /// As [`Connection::query`].
    pub async fn heads(&self) -> Result<Heads, StorageError> {
        decode_heads(&self.query(HEADS, &[]).await?)
    }
}

impl std::ops::Deref for Snapshot {
    type Target = Connection;

    #[expect(
        clippy::expect_used,
        reason = "it is taken only when the snapshot is dropped"
    )]
    fn deref(&self) -> &Connection {
        self.connection.as_ref().expect("present until the end")
    }
}

/// Nobody waits for the end of a view: its connection goes back to the pool by itself.
impl Drop for Snapshot {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else {
            return;
        };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            connection.discard();
            return;
        };
        runtime.spawn(async move {
            if connection.run("ROLLBACK").await.is_err() {
                connection.discard();
            }
        });
    }
}

fn no_barrier() -> StorageError {
    StorageError::Unavailable("the primary did not answer".to_owned())
}

fn decode_heads(rows: &[tokio_postgres::Row]) -> Result<Heads, StorageError> {
    let mut heads = Heads {
        generation: 1,
        positions: [0; ALL_SHARDS as usize],
    };
    for row in rows {
        let number: i16 = row.try_get(0)?;
        let position: Option<i64> = row.try_get(1)?;
        let generation: Option<i32> = row.try_get(2)?;
        // A later release may know more shards.
        let place =
            Shard::new(i64::from(number)).and_then(|shard| heads.positions.get_mut(shard.index()));
        if let Some(place) = place {
            *place = position.unwrap_or(0);
        }
        heads.generation = generation.unwrap_or(1);
    }
    Ok(heads)
}

fn open_pool(
    address: &str,
    size: usize,
    timeout: Duration,
    application_name: &str,
    password: Option<&str>,
) -> Result<Pool, String> {
    let mut config = PgConfig::from_str(address).map_err(|error| format!("postgres: {error}"))?;
    config
        .application_name(application_name)
        .connect_timeout(timeout);
    if let Some(password) = password {
        config.password(password);
    }
    let manager = Manager::from_config(
        config,
        NoTls,
        ManagerConfig {
            recycling_method: RecyclingMethod::Fast,
        },
    );
    Pool::builder(manager)
        .max_size(size)
        .runtime(Runtime::Tokio1)
        .timeouts(Timeouts {
            wait: Some(timeout),
            create: Some(timeout),
            recycle: Some(timeout),
        })
        .build()
        .map_err(|error| format!("postgres: {error}"))
}
