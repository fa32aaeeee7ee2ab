//! Removing what nobody will ask for any more.

use ganglion_model::Shard;
use tokio_postgres::types::Type;

use crate::connection::Connection;
use crate::error::StorageError;

// Some at a time, so that no statement runs long.
const COMMANDS: &str = "DELETE FROM commands c WHERE c.shard = $1 AND c.command_id = ANY(ARRAY(\
    SELECT o.command_id FROM commands o WHERE o.shard = $1 AND o.at < $2 LIMIT $3))";
// The last row is the head, however old it is.
const BATCHES: &str = "DELETE FROM batches b WHERE b.shard = $1 AND b.first_pos = ANY(ARRAY(\
    SELECT o.first_pos FROM batches o WHERE o.shard = $1 AND o.at < $2 \
    AND o.first_pos < (SELECT max(l.first_pos) FROM batches l WHERE l.shard = $1) \
    ORDER BY o.first_pos LIMIT $3))";

/// Every statement of this module.
pub(crate) const STATEMENTS: &[&str] = &[COMMANDS, BATCHES];

/// Removes answers of commands from before `before_ms` (milliseconds since the epoch), at most
/// `limit`; how many there were. A repetition of such a command is executed again.
///
/// # Errors
/// As [`Connection::query`].
pub async fn remove_commands(
    primary: &Connection,
    shard: Shard,
    before_ms: i64,
    limit: i64,
) -> Result<u64, StorageError> {
    remove(primary, COMMANDS, shard, (before_ms, limit)).await
}

/// Removes the rows of batches from before `before_ms`, at most `limit`; how many there were. The
/// entries stay: a reader that is so far behind takes them in larger stretches.
///
/// # Errors
/// As [`Connection::query`].
pub async fn remove_batches(
    primary: &Connection,
    shard: Shard,
    before_ms: i64,
    limit: i64,
) -> Result<u64, StorageError> {
    remove(primary, BATCHES, shard, (before_ms, limit)).await
}

async fn remove(
    primary: &Connection,
    statement: &str,
    shard: Shard,
    (before_ms, limit): (i64, i64),
) -> Result<u64, StorageError> {
    let params = [
        (&shard.number() as _, Type::INT2),
        (&before_ms as _, Type::INT8),
        (&limit as _, Type::INT8),
    ];
    primary.execute(statement, &params).await
}
