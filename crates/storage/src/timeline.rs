//! The events of rooms in the order of their logs, for readers.

use bytes::Bytes;
use ganglion_model::{
    EventNid, Generation, HistoryVisibility, Membership, Position, RoomNid, Shard, SlotNid,
    SnapshotNid, UserNid,
};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::connection::Connection;
use crate::error::StorageError;
use crate::rooms::decode_membership;

/// An event as readers need it, with its words.
#[derive(Debug, Clone)]
#[expect(
    missing_docs,
    reason = "the columns are described in migrations/0003_room_logs.sql"
)]
pub struct EventRecord {
    pub event_nid: EventNid,
    pub event_id: String,
    pub room_nid: RoomNid,
    /// `None`: not part of the timeline (outlier, rejected, soft-failed).
    pub pos: Option<Position>,
    pub origin_server_ts: i64,
    pub sender: String,
    pub event_type: String,
    pub state_key: Option<String>,
    pub slot_nid: Option<SlotNid>,
    pub target_nid: Option<UserNid>,
    pub membership: Option<Membership>,
    pub visibility: HistoryVisibility,
    pub snapshot_before: SnapshotNid,
    pub snapshot_after: SnapshotNid,
    pub redacted_by: Option<EventNid>,
    pub txn_device: Option<String>,
    pub txn_id: Option<String>,
    pub content: Bytes,
    pub envelope: Bytes,
    pub flags: i32,
    pub thread: Option<String>,
}

/// A stretch of a log: the positions above `after`, up to and with `up_to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// The position before the first.
    pub after: Position,
    /// The last position.
    pub up_to: Position,
}

/// Account data with its place in the user's log; `room_nid` 0 is the global one.
#[derive(Debug, Clone)]
#[expect(
    missing_docs,
    reason = "the columns are described in migrations/0004_user_logs.sql"
)]
pub struct AccountDataRecord {
    pub room_nid: RoomNid,
    pub data_type: String,
    pub content: Bytes,
    pub pos: Position,
}

macro_rules! event_columns {
    () => {
        "e.event_nid, e.event_id, e.room_nid, e.pos, e.origin_server_ts, u.user_id, t.type, \
         s.state_key, e.slot_nid, e.target_nid, e.membership, e.visibility, e.snapshot_before, \
         e.snapshot_after, e.redacted_by, e.txn_device, e.txn_id, e.content, e.envelope, \
         e.flags, e.thread"
    };
}
macro_rules! event_words {
    () => {
        " JOIN users u ON u.user_nid = e.sender_nid \
         JOIN event_types t ON t.type_nid = e.type_nid \
         LEFT JOIN state_slots s ON s.slot_nid = e.slot_nid "
    };
}
pub(crate) use {event_columns, event_words};

const LATEST: &str = concat!(
    "SELECT ",
    event_columns!(),
    " FROM unnest($2::bigint[]) AS r (room_nid) CROSS JOIN LATERAL ( \
     SELECT l.event_nid FROM events l WHERE l.shard = $1 AND l.room_nid = r.room_nid \
     AND l.pos > $3 AND l.pos <= $4 ORDER BY l.pos DESC LIMIT $5) AS last \
     JOIN events e ON e.shard = $1 AND e.event_nid = last.event_nid",
    event_words!(),
    "ORDER BY e.room_nid, e.pos DESC"
);
const EARLIEST: &str = concat!(
    "SELECT ",
    event_columns!(),
    " FROM events e",
    event_words!(),
    "WHERE e.shard = $1 AND e.room_nid = $2 AND e.pos > $3 AND e.pos <= $4 \
     ORDER BY e.pos LIMIT $5"
);
// A row comparison, so that the index leads straight to the place.
const AFTER_TIME: &str = concat!(
    "SELECT ",
    event_columns!(),
    " FROM events e",
    event_words!(),
    "WHERE e.shard = $1 AND e.room_nid = $2 AND e.pos IS NOT NULL \
     AND (e.origin_server_ts, e.pos) > ($3, $4) ORDER BY e.origin_server_ts, e.pos LIMIT $5"
);
const BEFORE_TIME: &str = concat!(
    "SELECT ",
    event_columns!(),
    " FROM events e",
    event_words!(),
    "WHERE e.shard = $1 AND e.room_nid = $2 AND e.pos IS NOT NULL \
     AND (e.origin_server_ts, e.pos) < ($3, $4) \
     ORDER BY e.origin_server_ts DESC, e.pos DESC LIMIT $5"
);
const BY_ID: &str = concat!(
    "SELECT ",
    event_columns!(),
    " FROM events e",
    event_words!(),
    "WHERE e.shard = $1 AND e.event_id = $2 AND e.room_nid = $3"
);
// The index is by shard and id: one look-up in each shard. With the limit they stay that.
const ROOM_OF: &str = "SELECT r.room_id FROM unnest($1::smallint[]) AS s (shard) \
    CROSS JOIN LATERAL (SELECT e.room_nid FROM events e \
    WHERE e.shard = s.shard AND e.event_id = $2 LIMIT 1) AS found \
    JOIN rooms r ON r.room_nid = found.room_nid";
const BY_NIDS: &str = concat!(
    "SELECT ",
    event_columns!(),
    " FROM events e",
    event_words!(),
    "WHERE e.shard = $1 AND e.event_nid = ANY($2)"
);
const STATES_AT: &str = "SELECT r.room_nid, h.snapshot_after \
    FROM unnest($2::bigint[], $3::bigint[]) AS r (room_nid, pos) CROSS JOIN LATERAL ( \
    SELECT l.snapshot_after FROM ( \
    (SELECT e.pos, e.snapshot_after FROM events e WHERE e.shard = $1 \
     AND e.room_nid = r.room_nid AND e.pos <= r.pos ORDER BY e.pos DESC LIMIT 1) \
    UNION ALL \
    (SELECT c.pos, c.snapshot_after FROM room_changes c WHERE c.shard = $1 \
     AND c.room_nid = r.room_nid AND c.pos <= r.pos ORDER BY c.pos DESC LIMIT 1)) AS l \
    ORDER BY l.pos DESC LIMIT 1) AS h";
const CHANGED: &str = "SELECT r.room_nid FROM unnest($2::bigint[]) AS r (room_nid) \
    WHERE EXISTS (SELECT 1 FROM events e WHERE e.shard = $1 AND e.room_nid = r.room_nid \
    AND e.pos > $3 AND e.pos <= $4) \
    OR EXISTS (SELECT 1 FROM room_changes c WHERE c.shard = $1 AND c.room_nid = r.room_nid \
    AND c.pos > $3 AND c.pos <= $4)";
const CLAMPS: &str = "SELECT shard, min(head_at_start) FROM generations \
    WHERE generation > $1 GROUP BY shard";
const ACCOUNT_DATA: &str = "SELECT room_nid, type, content, pos FROM account_data \
    WHERE shard = $1 AND user_nid = $2 AND pos > $3 AND pos <= $4 ORDER BY pos";
const ROOM_ACCOUNT_DATA: &str = "SELECT room_nid, type, content, pos FROM account_data \
    WHERE shard = $1 AND user_nid = $2 AND room_nid = ANY($3) ORDER BY pos";

/// Every statement of this module.
pub(crate) const STATEMENTS: &[&str] = &[
    LATEST,
    EARLIEST,
    AFTER_TIME,
    BEFORE_TIME,
    BY_ID,
    ROOM_OF,
    BY_NIDS,
    STATES_AT,
    CHANGED,
    CLAMPS,
    ACCOUNT_DATA,
    ROOM_ACCOUNT_DATA,
];

/// The last events of each of some rooms of a shard within a range, at most `limit` of each: rooms
/// in order of their numbers, the newest event first.
///
/// # Errors
/// As [`Connection::query`].
pub async fn latest(
    connection: &Connection,
    shard: Shard,
    rooms: &[RoomNid],
    range: Range,
    limit: i64,
) -> Result<Vec<EventRecord>, StorageError> {
    let rooms: Vec<i64> = rooms.iter().map(|nid| nid.0).collect();
    let params = [
        (&shard.number() as _, Type::INT2),
        (&rooms as _, Type::INT8_ARRAY),
        (&range.after as _, Type::INT8),
        (&range.up_to as _, Type::INT8),
        (&limit as _, Type::INT8),
    ];
    decode_events(&connection.query(LATEST, &params).await?)
}

/// The first events of a room within a range, at most `limit`, the oldest first.
///
/// # Errors
/// As [`Connection::query`].
pub async fn earliest(
    connection: &Connection,
    shard: Shard,
    room: RoomNid,
    range: Range,
    limit: i64,
) -> Result<Vec<EventRecord>, StorageError> {
    let params = [
        (&shard.number() as _, Type::INT2),
        (&room.0 as _, Type::INT8),
        (&range.after as _, Type::INT8),
        (&range.up_to as _, Type::INT8),
        (&limit as _, Type::INT8),
    ];
    decode_events(&connection.query(EARLIEST, &params).await?)
}

/// The first events of a room behind a time and, at that time, behind a position; at most `limit`,
/// by time.
///
/// # Errors
/// As [`Connection::query`].
pub async fn after_time(
    connection: &Connection,
    room: (Shard, RoomNid),
    place: (i64, Position),
    limit: i64,
) -> Result<Vec<EventRecord>, StorageError> {
    by_time(connection, AFTER_TIME, room, place, limit).await
}

/// The last events of a room before a time and, at that time, before a position; at most `limit`,
/// the latest first.
///
/// # Errors
/// As [`Connection::query`].
pub async fn before_time(
    connection: &Connection,
    room: (Shard, RoomNid),
    place: (i64, Position),
    limit: i64,
) -> Result<Vec<EventRecord>, StorageError> {
    by_time(connection, BEFORE_TIME, room, place, limit).await
}

async fn by_time(
    connection: &Connection,
    statement: &str,
    (shard, room): (Shard, RoomNid),
    (ts, pos): (i64, Position),
    limit: i64,
) -> Result<Vec<EventRecord>, StorageError> {
    let params = [
        (&shard.number() as _, Type::INT2),
        (&room.0 as _, Type::INT8),
        (&ts as _, Type::INT8),
        (&pos as _, Type::INT8),
        (&limit as _, Type::INT8),
    ];
    decode_events(&connection.query(statement, &params).await?)
}

/// An event of a room by its id.
///
/// # Errors
/// As [`Connection::query`].
pub async fn by_id(
    connection: &Connection,
    shard: Shard,
    room: RoomNid,
    event_id: &str,
) -> Result<Option<EventRecord>, StorageError> {
    let params = [
        (&shard.number() as _, Type::INT2),
        (&event_id as _, Type::TEXT),
        (&room.0 as _, Type::INT8),
    ];
    let row = connection.query_opt(BY_ID, &params).await?;
    row.as_ref().map(decode_event).transpose()
}

/// The id of the room that an event is in, by the event's id alone.
///
/// # Errors
/// As [`Connection::query`].
pub async fn room_of(
    connection: &Connection,
    event_id: &str,
) -> Result<Option<String>, StorageError> {
    let shards: Vec<i16> = Shard::rooms().map(Shard::number).collect();
    let params = [
        (&shards as _, Type::INT2_ARRAY),
        (&event_id as _, Type::TEXT),
    ];
    let row = connection.query_opt(ROOM_OF, &params).await?;
    row.map(|row| Ok(row.try_get(0)?)).transpose()
}

/// Events of a shard by number, in no order.
///
/// # Errors
/// As [`Connection::query`].
pub async fn by_nids(
    connection: &Connection,
    shard: Shard,
    nids: &[EventNid],
) -> Result<Vec<EventRecord>, StorageError> {
    let nids: Vec<i64> = nids.iter().map(|nid| nid.0).collect();
    let params = [
        (&shard.number() as _, Type::INT2),
        (&nids as _, Type::INT8_ARRAY),
    ];
    decode_events(&connection.query(BY_NIDS, &params).await?)
}

/// The states of rooms after their last log entry at or below a position; a room without such an
/// entry is left out.
///
/// # Errors
/// As [`Connection::query`].
pub async fn states_at(
    connection: &Connection,
    shard: Shard,
    places: &[(RoomNid, Position)],
) -> Result<Vec<(RoomNid, SnapshotNid)>, StorageError> {
    let (rooms, positions): (Vec<i64>, Vec<i64>) =
        places.iter().map(|(room, pos)| (room.0, *pos)).unzip();
    let params = [
        (&shard.number() as _, Type::INT2),
        (&rooms as _, Type::INT8_ARRAY),
        (&positions as _, Type::INT8_ARRAY),
    ];
    let rows = connection.query(STATES_AT, &params).await?;
    rows.iter()
        .map(|row| Ok((RoomNid(row.try_get(0)?), SnapshotNid(row.try_get(1)?))))
        .collect()
}

/// Those of some rooms that have a log entry within a range.
///
/// # Errors
/// As [`Connection::query`].
pub async fn changed_rooms(
    connection: &Connection,
    shard: Shard,
    rooms: &[RoomNid],
    range: Range,
) -> Result<Vec<RoomNid>, StorageError> {
    let rooms: Vec<i64> = rooms.iter().map(|nid| nid.0).collect();
    let params = [
        (&shard.number() as _, Type::INT2),
        (&rooms as _, Type::INT8_ARRAY),
        (&range.after as _, Type::INT8),
        (&range.up_to as _, Type::INT8),
    ];
    let rows = connection.query(CHANGED, &params).await?;
    rows.iter()
        .map(|row| Ok(RoomNid(row.try_get(0)?)))
        .collect()
}

/// How far positions given out in `generation` still count, by shard: above that they belong to a
/// past that a restore has undone. A shard that is left out counts without bound.
///
/// # Errors
/// As [`Connection::query`].
pub async fn clamps(
    connection: &Connection,
    generation: Generation,
) -> Result<Vec<(Shard, Position)>, StorageError> {
    let rows = connection
        .query(CLAMPS, &[(&generation, Type::INT4)])
        .await?;
    rows.iter()
        .map(|row| {
            let number: i16 = row.try_get(0)?;
            let shard = Shard::new(i64::from(number))
                .ok_or_else(|| StorageError::inconsistent(format!("generations.shard {number}")))?;
            Ok((shard, row.try_get(1)?))
        })
        .collect()
}

/// A user's account data that was last set within a range of the user's log, in its order.
///
/// # Errors
/// As [`Connection::query`].
pub async fn account_data(
    connection: &Connection,
    shard: Shard,
    user: UserNid,
    range: Range,
) -> Result<Vec<AccountDataRecord>, StorageError> {
    let params = [
        (&shard.number() as _, Type::INT2),
        (&user.0 as _, Type::INT8),
        (&range.after as _, Type::INT8),
        (&range.up_to as _, Type::INT8),
    ];
    connection
        .query(ACCOUNT_DATA, &params)
        .await?
        .iter()
        .map(decode_account_data)
        .collect()
}

/// All of a user's account data of some rooms.
///
/// # Errors
/// As [`Connection::query`].
pub async fn room_account_data(
    connection: &Connection,
    shard: Shard,
    user: UserNid,
    rooms: &[RoomNid],
) -> Result<Vec<AccountDataRecord>, StorageError> {
    let rooms: Vec<i64> = rooms.iter().map(|nid| nid.0).collect();
    let params = [
        (&shard.number() as _, Type::INT2),
        (&user.0 as _, Type::INT8),
        (&rooms as _, Type::INT8_ARRAY),
    ];
    connection
        .query(ROOM_ACCOUNT_DATA, &params)
        .await?
        .iter()
        .map(decode_account_data)
        .collect()
}

fn decode_account_data(row: &Row) -> Result<AccountDataRecord, StorageError> {
    Ok(AccountDataRecord {
        room_nid: RoomNid(row.try_get(0)?),
        data_type: row.try_get(1)?,
        content: Bytes::from(row.try_get::<_, Vec<u8>>(2)?),
        pos: row.try_get(3)?,
    })
}

pub(crate) fn decode_events(rows: &[Row]) -> Result<Vec<EventRecord>, StorageError> {
    rows.iter().map(decode_event).collect()
}

fn decode_event(row: &Row) -> Result<EventRecord, StorageError> {
    let membership: Option<i16> = row.try_get(10)?;
    Ok(EventRecord {
        event_nid: EventNid(row.try_get(0)?),
        event_id: row.try_get(1)?,
        room_nid: RoomNid(row.try_get(2)?),
        pos: row.try_get(3)?,
        origin_server_ts: row.try_get(4)?,
        sender: row.try_get(5)?,
        event_type: row.try_get(6)?,
        state_key: row.try_get(7)?,
        slot_nid: row.try_get::<_, Option<i64>>(8)?.map(SlotNid),
        target_nid: row.try_get::<_, Option<i64>>(9)?.map(UserNid),
        membership: membership.map(decode_membership).transpose()?,
        visibility: HistoryVisibility::from_i16(row.try_get(11)?),
        snapshot_before: SnapshotNid(row.try_get(12)?),
        snapshot_after: SnapshotNid(row.try_get(13)?),
        redacted_by: row.try_get::<_, Option<i64>>(14)?.map(EventNid),
        txn_device: row.try_get(15)?,
        txn_id: row.try_get(16)?,
        content: Bytes::from(row.try_get::<_, Vec<u8>>(17)?),
        envelope: Bytes::from(row.try_get::<_, Vec<u8>>(18)?),
        flags: row.try_get(19)?,
        thread: row.try_get(20)?,
    })
}
