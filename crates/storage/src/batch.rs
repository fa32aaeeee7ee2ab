//! The one way logs are written: a batch of a shard, in one transaction and one flush, under a fence.

mod room_rows;
mod user_rows;

use ganglion_model::{CommandId, Position, Shard};
use ganglion_telemetry::metrics::Histogram;
use tokio_postgres::types::Type;
use uuid::Uuid;

pub use room_rows::{
    CurrentStateRow, EventRow, EventStatus, ExceptionRow, MembershipRow, ReceiptRow, RedactionRow,
    ReplacedRow, RoomChangeRow, RoomRows, SnapshotRow, Tally, packed_extremities,
    unpacked_extremities,
};
pub use user_rows::{
    AccountDataRow, AccountRow, DeactivationRow, DeviceNameRow, DeviceRow, Ends, FilterRow,
    ForgottenRow, JobRow, LoginTokenRow, PasswordRow, PresenceRow, ProfileRow, RefreshTokenRow,
    ReportRow, RevocationRow, StandingRow, TokenRow, UserRows,
};

use crate::connection::{Connection, Param};
use crate::error::StorageError;

static COMMIT_SECONDS: Histogram = Histogram::new(
    "ganglion_storage_batch_commit_seconds",
    "Time from the first statement of a batch to the answer of its COMMIT.",
);

/// Who writes: the lease under which a batch is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fence {
    /// The shard.
    pub shard: Shard,
    /// The epoch of the lease.
    pub epoch: i64,
    /// The instance that holds it.
    pub owner: Uuid,
}

/// The positions a batch takes; they follow the head without a hole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The first position.
    pub first: Position,
    /// The last position.
    pub last: Position,
    /// When, in milliseconds since the epoch.
    pub at_ms: i64,
}

/// What a command did, kept so that its repetition is answered the same.
#[derive(Debug, Clone)]
pub struct CommandRow {
    /// The command.
    pub id: CommandId,
    /// Its answer, encoded by the caller.
    pub reply: Vec<u8>,
}

/// All rows of one batch.
#[derive(Debug, Default)]
pub struct Batch {
    /// The positions it takes; `None` if it writes rows but no log entry.
    pub span: Option<Span>,
    /// The commands it answers.
    pub commands: Vec<CommandRow>,
    /// Rows of a room shard.
    pub rooms: RoomRows,
    /// Rows of a user shard.
    pub users: UserRows,
}

/// Why a batch was not written.
#[derive(Debug, thiserror::Error)]
pub enum BatchError {
    /// The lease is lost: this instance must not write to the shard any more.
    #[error("the shard has another owner")]
    Fenced,
    /// PostgreSQL refused a row: nothing of the batch is written, and nothing will be by repeating it.
    #[error("a row was refused: {0}")]
    Refused(StorageError),
    /// Nobody knows whether it is written: the connection broke around COMMIT. Read the head.
    #[error("the outcome is unknown: {0}")]
    Unknown(StorageError),
    /// It is certainly not written, and may be repeated: PostgreSQL is away.
    #[error("PostgreSQL is not available: {0}")]
    Unavailable(StorageError),
}

// No row: division by zero, so that everything pipelined behind it fails with it.
const FENCE: &str = "SELECT 1 / count(*) FROM \
    (SELECT 1 FROM shards WHERE shard = $1 AND epoch = $2 AND owner = $3 FOR SHARE) AS held";
const ADD_BATCH: &str = "INSERT INTO batches (shard, first_pos, last_pos, epoch, at) \
    VALUES ($1, $2, $3, $4, $5)";
const ADD_COMMANDS: &str = "INSERT INTO commands (shard, command_id, reply, at) \
    SELECT $1, c.id, c.reply, $4 FROM unnest($2::bytea[], $3::bytea[]) AS c (id, reply)";
const FIND_COMMANDS: &str =
    "SELECT command_id, reply FROM commands WHERE shard = $1 AND command_id = ANY($2)";
const HEAD: &str = "SELECT last_pos FROM batches WHERE shard = $1 ORDER BY first_pos DESC LIMIT 1";

/// Every statement of this file.
const STATEMENTS: &[&str] = &[FENCE, ADD_BATCH, ADD_COMMANDS, FIND_COMMANDS, HEAD];

/// Every statement of this module.
pub(crate) fn statements() -> impl Iterator<Item = &'static str> {
    [STATEMENTS, room_rows::STATEMENTS, user_rows::STATEMENTS]
        .into_iter()
        .flatten()
        .copied()
}

/// Writes a batch: all of it or nothing, in one round trip, if the fence holds.
///
/// The connection is given back only when its state is certain.
///
/// # Errors
/// As [`BatchError`] says; after `Unknown` read [`head`] and [`find_commands`] before going on.
pub async fn commit(
    connection: Connection,
    fence: &Fence,
    batch: &Batch,
    now_ms: i64,
) -> Result<(), BatchError> {
    let started = tokio::time::Instant::now();
    let mut pipeline = Pipeline::new(&connection);
    pipeline.run("BEGIN");
    pipeline.add(
        FENCE,
        vec![
            (Box::new(fence.shard.number()), Type::INT2),
            (Box::new(fence.epoch), Type::INT8),
            (Box::new(fence.owner), Type::UUID),
        ],
    );
    let shard = fence.shard.number();
    if let Some(span) = batch.span {
        pipeline.add(
            ADD_BATCH,
            vec![
                (Box::new(shard), Type::INT2),
                (Box::new(span.first), Type::INT8),
                (Box::new(span.last), Type::INT8),
                (Box::new(fence.epoch), Type::INT8),
                (Box::new(span.at_ms), Type::INT8),
            ],
        );
    }
    if !batch.commands.is_empty() {
        let ids: Vec<Vec<u8>> = batch
            .commands
            .iter()
            .map(|c| c.id.as_bytes().to_vec())
            .collect();
        let replies: Vec<Vec<u8>> = batch.commands.iter().map(|c| c.reply.clone()).collect();
        pipeline.add(
            ADD_COMMANDS,
            vec![
                (Box::new(shard), Type::INT2),
                (Box::new(ids), Type::BYTEA_ARRAY),
                (Box::new(replies), Type::BYTEA_ARRAY),
                (Box::new(now_ms), Type::INT8),
            ],
        );
    }
    batch.rooms.add_to(&mut pipeline, shard);
    batch.users.add_to(&mut pipeline, shard);
    let outcome = pipeline.commit().await;
    COMMIT_SECONDS.record(started.elapsed().as_secs_f64());
    if outcome.is_err() {
        connection.discard();
    }
    outcome
}

/// The answers of commands that are done.
///
/// # Errors
/// As [`Connection::query`].
pub async fn find_commands(
    connection: &Connection,
    shard: Shard,
    ids: &[CommandId],
) -> Result<Vec<(CommandId, Vec<u8>)>, StorageError> {
    let ids: Vec<&[u8]> = ids.iter().map(|id| id.as_bytes().as_slice()).collect();
    let rows = connection
        .query(
            FIND_COMMANDS,
            &[(&shard.number(), Type::INT2), (&ids, Type::BYTEA_ARRAY)],
        )
        .await?;
    rows.iter()
        .map(|row| {
            let id: &[u8] = row.try_get(0)?;
            let id = CommandId::from_bytes(id)
                .ok_or_else(|| StorageError::inconsistent("commands.command_id: not 16 bytes"))?;
            Ok((id, row.try_get(1)?))
        })
        .collect()
}

/// The last position of a shard's log; 0 if it is empty.
///
/// # Errors
/// As [`Connection::query`].
pub async fn head(connection: &Connection, shard: Shard) -> Result<Position, StorageError> {
    let row = connection
        .query_opt(HEAD, &[(&shard.number(), Type::INT2)])
        .await?;
    row.map_or(Ok(0), |row| Ok(row.try_get(0)?))
}

/// Statements sent one behind the other without waiting for answers.
pub(crate) struct Pipeline<'a> {
    connection: &'a Connection,
    statements: Vec<(&'static str, Vec<OwnedParam>)>,
}

type OwnedParam = (Box<dyn tokio_postgres::types::ToSql + Sync + Send>, Type);

impl<'a> Pipeline<'a> {
    fn new(connection: &'a Connection) -> Self {
        Self {
            connection,
            statements: Vec::new(),
        }
    }

    fn run(&mut self, sql: &'static str) {
        self.statements.push((sql, Vec::new()));
    }

    pub(crate) fn add(&mut self, sql: &'static str, params: Vec<OwnedParam>) {
        self.statements.push((sql, params));
    }

    /// Sends all statements and, behind them, COMMIT, which PostgreSQL turns into ROLLBACK if one
    /// of them failed.
    async fn commit(mut self) -> Result<(), BatchError> {
        self.run("COMMIT");
        let connection = self.connection;
        let client = connection.client();
        let last = self.statements.len().saturating_sub(1);
        let answers = self.statements.iter().map(|(sql, params)| async move {
            let params: Vec<Param<'_>> = params
                .iter()
                .map(|(value, t)| (&**value as _, t.clone()))
                .collect();
            client.execute_typed(sql, &params).await
        });
        // Polled in order, so sent in order; answers come in the same order.
        let all = connection.within(async { Ok(futures_util::future::join_all(answers).await) });
        let answers = all.await.map_err(BatchError::Unknown)?;
        let mut commit_failed = None;
        for (index, answer) in answers.into_iter().enumerate() {
            let Err(error) = answer else { continue };
            let divided = error.code() == Some(&tokio_postgres::error::SqlState::DIVISION_BY_ZERO);
            let refused_by_server = error.code().is_some();
            let error = StorageError::from(error);
            if index == 1 && divided {
                return Err(BatchError::Fenced);
            }
            match error {
                StorageError::Refused(_) if index < last => return Err(BatchError::Refused(error)),
                // An answer from the server to a statement before COMMIT: the transaction is void.
                other if index < last && refused_by_server => {
                    return Err(BatchError::Unavailable(other));
                }
                other => commit_failed = commit_failed.or(Some(other)),
            }
        }
        commit_failed.map_or(Ok(()), |error| Err(BatchError::Unknown(error)))
    }
}
