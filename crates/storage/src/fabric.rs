//! Instances, leases and generations (docs/architecture.md, "The way of a lease").

use ganglion_model::{Generation, Shard};
use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::batch::Fence;
use crate::connection::Connection;
use crate::error::StorageError;

/// What an instance writes about itself with every heartbeat.
#[derive(Debug, Clone, Copy)]
pub struct Beat<'a> {
    /// The instance.
    pub instance: Uuid,
    /// Its role.
    pub role: &'a str,
    /// `host:port` of its gRPC port.
    pub rpc_address: Option<&'a str>,
    /// It takes no shards any more.
    pub draining: bool,
    /// Its release.
    pub version: &'a str,
    /// When it started, for people.
    pub started_at: i64,
}

/// An instance as its row shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "the columns are described in migrations/0001_fabric.sql"
)]
pub struct InstanceRow {
    pub instance: Uuid,
    pub role: String,
    pub rpc_address: Option<String>,
    pub heartbeat: i64,
    pub draining: bool,
}

/// A shard's lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShardRow {
    /// The shard.
    pub shard: Shard,
    /// Counts the owners it has had.
    pub epoch: i64,
    /// Who owns it.
    pub owner: Option<Uuid>,
}

/// Everything the fabric knows, at one moment.
#[derive(Debug, Clone, Default)]
pub struct Poll {
    /// All instances; without the asking one if its row was made by this poll.
    pub instances: Vec<InstanceRow>,
    /// All leases.
    pub shards: Vec<ShardRow>,
    /// The timeline that PostgreSQL writes on.
    pub timeline: i32,
    /// The newest generation, and the timeline it began on.
    pub newest_generation: Option<(Generation, i32)>,
}

// The timeline is the first eight hex digits of a WAL file's name: everybody may ask for that.
macro_rules! timeline {
    () => {
        "('x' || substring(pg_walfile_name(pg_current_wal_lsn()) from 1 for 8))::bit(32)::int"
    };
}

const BEAT: &str = concat!(
    "WITH beat AS (INSERT INTO instances (instance, role, rpc_address, heartbeat, draining, version, \
     started_at) VALUES ($1, $2, $3, 1, $4, $5, $6) ON CONFLICT (instance) DO UPDATE \
     SET heartbeat = instances.heartbeat + 1, draining = excluded.draining) \
     SELECT 0::smallint, i.instance, i.role, i.rpc_address, i.heartbeat, i.draining, 0 \
     FROM instances i \
     UNION ALL SELECT 1::smallint, s.owner, NULL, NULL, s.epoch, NULL, s.shard FROM shards s \
     UNION ALL SELECT 2::smallint, NULL, NULL, NULL, ",
    timeline!(),
    ", NULL, 0 \
     UNION ALL (SELECT 3::smallint, NULL, NULL, NULL, g.generation, NULL, g.timeline \
     FROM generations g ORDER BY g.generation DESC LIMIT 1)"
);
const REMOVE: &str = "DELETE FROM instances WHERE instance = $1";
const PURGE: &str = "DELETE FROM instances i \
    USING unnest($1::uuid[], $2::bigint[]) AS d (instance, heartbeat) \
    WHERE i.instance = d.instance AND i.heartbeat = d.heartbeat \
    AND NOT EXISTS (SELECT 1 FROM shards s WHERE s.owner = i.instance)";
const TAKE: &str = "UPDATE shards SET epoch = epoch + 1, owner = $3 \
    WHERE shard = $1 AND epoch = $2 RETURNING epoch";
const RELEASE: &str =
    "UPDATE shards SET owner = NULL WHERE shard = $1 AND epoch = $2 AND owner = $3";
const HOLDS: &str = "SELECT 1 FROM shards WHERE shard = $1 AND epoch = $2 AND owner = $3";
// An application name is cut to 63 bytes by PostgreSQL.
const TERMINATE: &str = "SELECT count(*) FILTER (WHERE pg_terminate_backend(a.pid, 200)) \
    FROM pg_stat_activity a WHERE a.application_name = left($1, 63) AND a.usename = current_user \
    AND a.pid <> pg_backend_pid()";
const GENERATION: &str = concat!(
    "SELECT g.generation FROM generations g WHERE g.timeline = ",
    timeline!(),
    " AND g.generation = (SELECT max(n.generation) FROM generations n) LIMIT 1"
);
const BEGIN_GENERATION: &str = concat!(
    "INSERT INTO generations (generation, shard, head_at_start, timeline) \
     SELECT n.generation, s.shard, coalesce((SELECT b.last_pos FROM batches b \
     WHERE b.shard = s.shard ORDER BY b.first_pos DESC LIMIT 1), 0), t.timeline \
     FROM shards s \
     CROSS JOIN (SELECT coalesce(max(generation), 0) + 1 AS generation FROM generations) AS n \
     CROSS JOIN (SELECT ",
    timeline!(),
    " AS timeline) AS t \
     WHERE NOT EXISTS (SELECT 1 FROM generations g WHERE g.generation = n.generation - 1 \
     AND g.timeline = t.timeline) ON CONFLICT DO NOTHING"
);

/// Every statement of this module.
pub(crate) const STATEMENTS: &[&str] = &[
    BEAT,
    REMOVE,
    PURGE,
    TAKE,
    RELEASE,
    HOLDS,
    TERMINATE,
    GENERATION,
    BEGIN_GENERATION,
];

/// Counts an instance's heartbeat up, registering it if it is not there, and looks at everything,
/// in one round trip.
///
/// # Errors
/// As [`Connection::query`].
pub async fn beat(primary: &Connection, beat: &Beat<'_>) -> Result<Poll, StorageError> {
    let params = [
        (&beat.instance as _, Type::UUID),
        (&beat.role as _, Type::TEXT),
        (&beat.rpc_address as _, Type::TEXT),
        (&beat.draining as _, Type::BOOL),
        (&beat.version as _, Type::TEXT),
        (&beat.started_at as _, Type::INT8),
    ];
    let mut poll = Poll::default();
    for row in primary.query(BEAT, &params).await? {
        decode(&row, &mut poll)?;
    }
    Ok(poll)
}

fn decode(row: &Row, poll: &mut Poll) -> Result<(), StorageError> {
    let kind: i16 = row.try_get(0)?;
    let count: i64 = row.try_get(4)?;
    let small = |number: i64| {
        i32::try_from(number).map_err(|_big| StorageError::inconsistent("a generation or timeline"))
    };
    match kind {
        0 => poll.instances.push(InstanceRow {
            instance: row.try_get(1)?,
            role: row.try_get(2)?,
            rpc_address: row.try_get(3)?,
            heartbeat: count,
            draining: row.try_get(5)?,
        }),
        1 => {
            let number: i32 = row.try_get(6)?;
            // A later release may know more.
            let Some(shard) = Shard::new(i64::from(number)) else {
                return Ok(());
            };
            poll.shards.push(ShardRow {
                shard,
                epoch: count,
                owner: row.try_get(1)?,
            });
        }
        2 => poll.timeline = small(count)?,
        _ => poll.newest_generation = Some((small(count)?, row.try_get(6)?)),
    }
    Ok(())
}

/// Takes an instance off the list.
///
/// # Errors
/// As [`Connection::query`].
pub async fn remove(primary: &Connection, instance: Uuid) -> Result<(), StorageError> {
    primary.execute(REMOVE, &[(&instance, Type::UUID)]).await?;
    Ok(())
}

/// Takes dead instances off the list, unless their heartbeat has moved or they own a shard.
///
/// # Errors
/// As [`Connection::query`].
pub async fn purge(primary: &Connection, dead: &[(Uuid, i64)]) -> Result<(), StorageError> {
    let (instances, heartbeats): (Vec<Uuid>, Vec<i64>) = dead.iter().copied().unzip();
    let params = [
        (&instances as _, Type::UUID_ARRAY),
        (&heartbeats as _, Type::INT8_ARRAY),
    ];
    primary.execute(PURGE, &params).await?;
    Ok(())
}

/// Takes a shard if its epoch is still the one that was seen; returns the new epoch. From then on
/// no batch of a former owner is accepted. It waits for a batch that is being written.
///
/// # Errors
/// As [`Connection::query`].
pub async fn take(
    primary: &Connection,
    shard: Shard,
    seen_epoch: i64,
    me: Uuid,
) -> Result<Option<i64>, StorageError> {
    let params = [
        (&shard.number() as _, Type::INT2),
        (&seen_epoch as _, Type::INT8),
        (&me as _, Type::UUID),
    ];
    let row = primary.query_opt(TAKE, &params).await?;
    row.map(|row| Ok(row.try_get(0)?)).transpose()
}

/// Gives a shard up; nothing happens if the lease is lost already.
///
/// # Errors
/// As [`Connection::query`].
pub async fn release(primary: &Connection, fence: &Fence) -> Result<(), StorageError> {
    primary
        .execute(RELEASE, &fence_params(&fence.shard.number(), fence))
        .await?;
    Ok(())
}

/// True while a lease is held.
///
/// # Errors
/// As [`Connection::query`].
pub async fn holds(primary: &Connection, fence: &Fence) -> Result<bool, StorageError> {
    let row = primary
        .query_opt(HOLDS, &fence_params(&fence.shard.number(), fence))
        .await?;
    Ok(row.is_some())
}

fn fence_params<'a>(shard: &'a i16, fence: &'a Fence) -> [crate::connection::Param<'a>; 3] {
    [
        (shard, Type::INT2),
        (&fence.epoch, Type::INT8),
        (&fence.owner, Type::UUID),
    ]
}

/// Ends the connections of a former owner, found by their application name: a stopped process
/// inside an open transaction would hold the fence. Returns how many were ended.
///
/// # Errors
/// As [`Connection::query`].
pub async fn terminate_backends(
    primary: &Connection,
    application_name: &str,
) -> Result<i64, StorageError> {
    let row = primary
        .query_opt(TERMINATE, &[(&application_name, Type::TEXT)])
        .await?;
    row.map_or(Ok(0), |row| Ok(row.try_get(0)?))
}

/// The generation under way. If PostgreSQL's timeline is another than that of the newest generation
/// (the first start, a failover, a restore), a new one begins at the heads of this moment.
///
/// # Errors
/// As [`Connection::query`].
pub async fn current_or_begin(primary: &Connection) -> Result<Generation, StorageError> {
    if let Some(row) = primary.query_opt(GENERATION, &[]).await? {
        return Ok(row.try_get(0)?);
    }
    primary.execute(BEGIN_GENERATION, &[]).await?;
    let row = primary.query_opt(GENERATION, &[]).await?;
    let row = row.ok_or_else(|| StorageError::inconsistent("generations: none has begun"))?;
    Ok(row.try_get(0)?)
}
