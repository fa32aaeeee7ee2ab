//! The children of spaces, for readers.

use bytes::Bytes;
use ganglion_model::{RoomNid, Shard};
use tokio_postgres::types::Type;

use crate::connection::Connection;
use crate::error::StorageError;

/// An `m.space.child` event of a room's current state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChildRecord {
    /// The room whose state it is.
    pub room_nid: RoomNid,
    /// Its state key: the child.
    pub state_key: String,
    /// Its sender.
    pub sender: String,
    /// Milliseconds since the epoch.
    pub origin_server_ts: i64,
    /// A JSON object.
    pub content: Bytes,
}

const CHILDREN: &str = "SELECT w.room_nid, c.state_key, u.user_id, c.origin_server_ts, c.content \
    FROM unnest($1::smallint[], $2::bigint[]) AS w (shard, room_nid) CROSS JOIN LATERAL ( \
    SELECT s.state_key, e.sender_nid, e.origin_server_ts, e.content FROM current_state l \
    JOIN state_slots s ON s.slot_nid = l.slot_nid AND s.type = 'm.space.child' \
    JOIN events e ON e.shard = w.shard AND e.event_nid = l.event_nid \
    WHERE l.shard = w.shard AND l.room_nid = w.room_nid AND l.membership IS NULL \
    AND octet_length(e.content) <= $3 ORDER BY l.event_nid LIMIT $4) AS c \
    JOIN users u ON u.user_nid = c.sender_nid";

/// Every statement of this module.
pub(crate) const STATEMENTS: &[&str] = &[CHILDREN];

/// The `m.space.child` events of some rooms, of each at most `limit`, the oldest; those with more than
/// `max_bytes` of content are left out.
///
/// # Errors
/// As [`Connection::query`].
pub async fn children(
    connection: &Connection,
    rooms: &[(Shard, RoomNid)],
    (max_bytes, limit): (i32, i64),
) -> Result<Vec<ChildRecord>, StorageError> {
    let (shards, nids): (Vec<i16>, Vec<i64>) = rooms
        .iter()
        .map(|(shard, room)| (shard.number(), room.0))
        .unzip();
    let params = [
        (&shards as _, Type::INT2_ARRAY),
        (&nids as _, Type::INT8_ARRAY),
        (&max_bytes as _, Type::INT4),
        (&limit as _, Type::INT8),
    ];
    let rows = connection.query(CHILDREN, &params).await?;
    rows.iter()
        .map(|row| {
            Ok(ChildRecord {
                room_nid: RoomNid(row.try_get(0)?),
                state_key: row.try_get(1)?,
                sender: row.try_get(2)?,
                origin_server_ts: row.try_get(3)?,
                content: row.try_get::<_, Vec<u8>>(4)?.into(),
            })
        })
        .collect()
}
