//! Read receipts. A row is the newest one of a user for a room, a kind and a thread.

use ganglion_model::{Membership, Position, RoomNid, Shard, UserNid};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::connection::Connection;
use crate::error::StorageError;
use crate::timeline::Range;

/// Who hears of a receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum ReceiptKind {
    /// `m.read`: everybody in the room.
    Read = 0,
    /// `m.read.private`: only the user.
    Private = 1,
}

impl ReceiptKind {
    /// By its number in logs and commands; `None` for one of a later version.
    #[must_use]
    pub fn from_number(number: u32) -> Option<Self> {
        match number {
            0 => Some(Self::Read),
            1 => Some(Self::Private),
            _ => None,
        }
    }

    /// Its number in logs and commands.
    #[must_use]
    pub fn number(self) -> u32 {
        self as u32
    }

    /// The specification's name of it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "m.read",
            Self::Private => "m.read.private",
        }
    }

    pub(crate) fn decode(number: i16) -> Result<Self, StorageError> {
        let known = u32::try_from(number).ok().and_then(Self::from_number);
        known.ok_or_else(|| StorageError::inconsistent(format!("receipts.kind {number}")))
    }
}

/// What a user has one receipt for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReceiptKey {
    /// The room.
    pub room_nid: RoomNid,
    /// The user.
    pub user_nid: UserNid,
    /// Who hears of it.
    pub kind: ReceiptKind,
    /// `main` or the id of a thread's root; empty: unthreaded.
    pub thread: String,
}

/// A receipt as readers get it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// Whose, and of what.
    pub key: ReceiptKey,
    /// The user's id.
    pub user_id: String,
    /// The event that is read, with all before it.
    pub event_id: String,
    /// The event's position in the log of the room's shard.
    pub event_pos: Position,
    /// When the receipt came, in milliseconds since the epoch.
    pub ts: i64,
    /// The receipt's own position in that log.
    pub pos: Position,
}

const PLACES: &str = "SELECT r.room_nid, r.user_nid, r.kind, r.thread, r.event_pos \
    FROM unnest($2::bigint[], $3::bigint[], $4::smallint[], $5::text[]) \
    AS k (room_nid, user_nid, kind, thread) \
    JOIN receipts r ON r.shard = $1 AND r.room_nid = k.room_nid AND r.user_nid = k.user_nid \
    AND r.kind = k.kind AND r.thread = k.thread";
const IS_CROWDED: &str = "SELECT count(*) > $4 FROM (SELECT 1 FROM current_state \
    WHERE shard = $1 AND room_nid = $2 AND membership = $3 LIMIT $4 + 1) AS members";
const OF_OTHERS: &str = "SELECT r.room_nid, r.user_nid, r.kind, r.thread, u.user_id, r.event_id, \
    r.event_pos, r.at, r.pos FROM unnest($2::bigint[]) AS w (room_nid) CROSS JOIN LATERAL ( \
    SELECT o.* FROM receipts o WHERE o.shard = $1 AND o.room_nid = w.room_nid \
    AND o.user_nid <> $3 AND o.kind = 0 AND o.pos > $4 AND o.pos <= $5 \
    ORDER BY o.pos DESC LIMIT $6) AS r JOIN users u ON u.user_nid = r.user_nid";
const OF_USER: &str = "SELECT r.room_nid, r.user_nid, r.kind, r.thread, u.user_id, r.event_id, \
    r.event_pos, r.at, r.pos FROM (SELECT *, row_number() OVER (PARTITION BY room_nid, \
    thread IN ('', 'main') ORDER BY pos DESC) AS place FROM receipts WHERE user_nid = $1) AS r \
    JOIN users u ON u.user_nid = r.user_nid WHERE r.place <= $2";

/// Every statement of this module.
pub(crate) const STATEMENTS: &[&str] = &[PLACES, IS_CROWDED, OF_OTHERS, OF_USER];

/// The positions of the events that the receipts of these keys point to, where there are any, in no
/// order.
///
/// # Errors
/// As [`Connection::query`].
pub async fn places(
    connection: &Connection,
    shard: Shard,
    keys: &[ReceiptKey],
) -> Result<Vec<(ReceiptKey, Position)>, StorageError> {
    let rooms: Vec<i64> = keys.iter().map(|key| key.room_nid.0).collect();
    let users: Vec<i64> = keys.iter().map(|key| key.user_nid.0).collect();
    let kinds: Vec<i16> = keys.iter().map(|key| key.kind as i16).collect();
    let threads: Vec<&str> = keys.iter().map(|key| key.thread.as_str()).collect();
    let params = [
        (&shard.number() as _, Type::INT2),
        (&rooms as _, Type::INT8_ARRAY),
        (&users as _, Type::INT8_ARRAY),
        (&kinds as _, Type::INT2_ARRAY),
        (&threads as _, Type::TEXT_ARRAY),
    ];
    let rows = connection.query(PLACES, &params).await?;
    rows.iter()
        .map(|row| Ok((decode_key(row)?, row.try_get(4)?)))
        .collect()
}

/// Whether more than `limit` users are joined to a room.
///
/// # Errors
/// As [`Connection::query`].
pub async fn is_crowded(
    connection: &Connection,
    (shard, room): (Shard, RoomNid),
    limit: i64,
) -> Result<bool, StorageError> {
    let params = [
        (&shard.number() as _, Type::INT2),
        (&room.0 as _, Type::INT8),
        (&Membership::Join.to_i16() as _, Type::INT2),
        (&limit as _, Type::INT8),
    ];
    let row = connection.query_opt(IS_CROWDED, &params).await?;
    row.map_or(Ok(false), |row| Ok(row.try_get(0)?))
}

/// Public receipts of all but one user in some rooms of a shard, whose own positions lie within a
/// range: of each room the newest, at most `limit`. In no order.
///
/// # Errors
/// As [`Connection::query`].
pub async fn of_others(
    connection: &Connection,
    (shard, rooms): (Shard, &[RoomNid]),
    but: UserNid,
    range: Range,
    limit: i64,
) -> Result<Vec<Receipt>, StorageError> {
    let rooms: Vec<i64> = rooms.iter().map(|room| room.0).collect();
    let params = [
        (&shard.number() as _, Type::INT2),
        (&rooms as _, Type::INT8_ARRAY),
        (&but.0 as _, Type::INT8),
        (&range.after as _, Type::INT8),
        (&range.up_to as _, Type::INT8),
        (&limit as _, Type::INT8),
    ];
    let rows = connection.query(OF_OTHERS, &params).await?;
    rows.iter().map(decode).collect()
}

/// The receipts of a user, in no order; of those for threads in one room at most `most`, which came last.
///
/// # Errors
/// As [`Connection::query`].
pub async fn of_user(
    connection: &Connection,
    user: UserNid,
    most: i64,
) -> Result<Vec<Receipt>, StorageError> {
    let params = [(&user.0 as _, Type::INT8), (&most as _, Type::INT8)];
    let rows = connection.query(OF_USER, &params).await?;
    rows.iter().map(decode).collect()
}

fn decode_key(row: &Row) -> Result<ReceiptKey, StorageError> {
    Ok(ReceiptKey {
        room_nid: RoomNid(row.try_get(0)?),
        user_nid: UserNid(row.try_get(1)?),
        kind: ReceiptKind::decode(row.try_get(2)?)?,
        thread: row.try_get(3)?,
    })
}

fn decode(row: &Row) -> Result<Receipt, StorageError> {
    Ok(Receipt {
        key: decode_key(row)?,
        user_id: row.try_get(4)?,
        event_id: row.try_get(5)?,
        event_pos: row.try_get(6)?,
        ts: row.try_get(7)?,
        pos: row.try_get(8)?,
    })
}
