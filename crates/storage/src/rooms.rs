//! What the room writer loads, always from the primary.

use ganglion_model::{
    EventNid, Membership, Position, RoomNid, Shard, SlotNid, SnapshotNid, UserNid,
};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::batch::unpacked_extremities;
use crate::connection::Connection;
use crate::error::StorageError;

/// Where a room stands after its last log entry.
#[derive(Debug, Clone)]
pub struct RoomHead {
    /// The position of that entry.
    pub pos: Position,
    /// The room's state.
    pub snapshot: SnapshotNid,
    /// The room's forward extremities.
    pub extremities: Vec<EventNid>,
}

/// A stored event with its words.
#[derive(Debug, Clone)]
#[expect(
    missing_docs,
    reason = "the columns are described in migrations/0003_room_logs.sql"
)]
pub struct StoredEvent {
    pub event_nid: EventNid,
    pub event_id: String,
    pub room_nid: RoomNid,
    pub pos: Option<Position>,
    pub status: i16,
    pub depth: i64,
    pub origin_server_ts: i64,
    pub sender: String,
    pub event_type: String,
    pub state_key: Option<String>,
    pub slot_nid: Option<SlotNid>,
    pub snapshot_before: SnapshotNid,
    pub redacted_by: Option<EventNid>,
    pub content: Vec<u8>,
    pub envelope: Vec<u8>,
}

/// One link of a snapshot's chain, from the snapshot itself to the level above it and so on.
#[derive(Debug, Clone)]
#[expect(
    missing_docs,
    reason = "the columns are described in migrations/0003_room_logs.sql"
)]
pub struct SnapshotLink {
    pub snapshot_nid: SnapshotNid,
    pub level: i16,
    pub parent_nid: Option<SnapshotNid>,
    pub length: i32,
    pub hash: [u8; 16],
    pub entries: Vec<u8>,
}

const HEAD: &str = "SELECT pos, snapshot_after, extremities, event_nid FROM ( \
    (SELECT pos, snapshot_after, extremities, event_nid FROM events \
     WHERE shard = $1 AND room_nid = $2 AND pos IS NOT NULL ORDER BY pos DESC LIMIT 1) \
    UNION ALL \
    (SELECT pos, snapshot_after, extremities, 0 FROM room_changes \
     WHERE shard = $1 AND room_nid = $2 ORDER BY pos DESC LIMIT 1)) AS h \
    ORDER BY pos DESC LIMIT 1";
const EVENTS_BY_NID: &str = "SELECT e.event_nid, e.event_id, e.room_nid, e.pos, e.status, e.depth, \
    e.origin_server_ts, u.user_id, t.type, s.state_key, e.slot_nid, e.snapshot_before, \
    e.redacted_by, e.content, e.envelope \
    FROM events e JOIN users u ON u.user_nid = e.sender_nid \
    JOIN event_types t ON t.type_nid = e.type_nid \
    LEFT JOIN state_slots s ON s.slot_nid = e.slot_nid \
    WHERE e.shard = $1 AND e.event_nid = ANY($2)";
const EVENTS_BY_ID: &str = "SELECT e.event_nid, e.event_id, e.room_nid, e.pos, e.status, e.depth, \
    e.origin_server_ts, u.user_id, t.type, s.state_key, e.slot_nid, e.snapshot_before, \
    e.redacted_by, e.content, e.envelope \
    FROM events e JOIN users u ON u.user_nid = e.sender_nid \
    JOIN event_types t ON t.type_nid = e.type_nid \
    LEFT JOIN state_slots s ON s.slot_nid = e.slot_nid \
    WHERE e.shard = $1 AND e.event_id = ANY($2)";
const EVENT_IDS: &str =
    "SELECT event_nid, event_id FROM events WHERE shard = $1 AND event_nid = ANY($2)";
const STATE_BY_SLOT: &str = "SELECT e.event_nid, e.event_id, e.room_nid, e.pos, e.status, e.depth, \
    e.origin_server_ts, u.user_id, t.type, s.state_key, e.slot_nid, e.snapshot_before, \
    e.redacted_by, e.content, e.envelope \
    FROM current_state c JOIN events e ON e.shard = c.shard AND e.event_nid = c.event_nid \
    JOIN users u ON u.user_nid = e.sender_nid \
    JOIN event_types t ON t.type_nid = e.type_nid \
    JOIN state_slots s ON s.slot_nid = e.slot_nid \
    WHERE c.shard = $1 AND e.shard = $1 AND c.room_nid = $2 AND c.slot_nid = ANY($3)";
const CHAIN: &str = "WITH RECURSIVE chain AS ( \
    SELECT snapshot_nid, level, parent_nid, length, hash, entries, 0 AS step FROM snapshots \
    WHERE shard = $1 AND snapshot_nid = $2 \
    UNION ALL \
    SELECT s.snapshot_nid, s.level, s.parent_nid, s.length, s.hash, s.entries, c.step + 1 \
    FROM chain c JOIN snapshots s ON s.shard = $1 AND s.snapshot_nid = c.parent_nid \
    WHERE c.level < $3) \
    SELECT snapshot_nid, level, parent_nid, length, hash, entries FROM chain ORDER BY step";
const BY_HASH: &str = "SELECT snapshot_nid FROM snapshots \
    WHERE shard = $1 AND room_nid = $2 AND hash = $3 LIMIT 8";
const JOINED_MEMBERS: &str = "SELECT s.state_key FROM current_state c \
    JOIN state_slots s ON s.slot_nid = c.slot_nid \
    WHERE c.shard = $1 AND c.room_nid = $2 AND c.membership = 2 AND s.state_key LIKE $3 \
    ORDER BY c.slot_nid LIMIT $4";
const ALIAS: &str = "SELECT a.room_nid, u.user_id FROM room_aliases a \
    JOIN users u ON u.user_nid = a.creator_nid WHERE a.alias = $1";
const ROOM_OF_ALIAS: &str = "SELECT r.room_id FROM room_aliases a \
    JOIN rooms r ON r.room_nid = a.room_nid WHERE a.alias = $1";
const ROOMS_OF: &str = "SELECT r.room_nid, r.room_id FROM ( \
    SELECT DISTINCT ON (m.room_nid) m.room_nid, m.membership FROM user_memberships m \
    WHERE m.user_nid = $1 ORDER BY m.room_nid, m.pos DESC) AS last \
    JOIN rooms r ON r.room_nid = last.room_nid \
    WHERE last.membership = ANY($4) AND r.room_nid > $2 ORDER BY r.room_nid LIMIT $3";

/// Every statement of this module.
pub(crate) const STATEMENTS: &[&str] = &[
    HEAD,
    EVENTS_BY_NID,
    EVENTS_BY_ID,
    EVENT_IDS,
    STATE_BY_SLOT,
    CHAIN,
    BY_HASH,
    JOINED_MEMBERS,
    ALIAS,
    ROOM_OF_ALIAS,
    ROOMS_OF,
];

/// Where a room stands; `None` if it has no log entry, so does not exist.
///
/// # Errors
/// As [`Connection::query`].
pub async fn head(
    primary: &Connection,
    shard: Shard,
    room: RoomNid,
) -> Result<Option<RoomHead>, StorageError> {
    let params = [
        (&shard.number() as _, Type::INT2),
        (&room.0 as _, Type::INT8),
    ];
    let Some(row) = primary.query_opt(HEAD, &params).await? else {
        return Ok(None);
    };
    let packed: Option<&[u8]> = row.try_get(2)?;
    let event: i64 = row.try_get(3)?;
    Ok(Some(RoomHead {
        pos: row.try_get(0)?,
        snapshot: SnapshotNid(row.try_get(1)?),
        extremities: packed.map_or_else(|| vec![EventNid(event)], unpacked_extremities),
    }))
}

/// Events of a shard by number, in no order.
///
/// # Errors
/// As [`Connection::query`].
pub async fn events_by_nid(
    primary: &Connection,
    shard: Shard,
    nids: &[EventNid],
) -> Result<Vec<StoredEvent>, StorageError> {
    let nids: Vec<i64> = nids.iter().map(|nid| nid.0).collect();
    let params = [
        (&shard.number() as _, Type::INT2),
        (&nids as _, Type::INT8_ARRAY),
    ];
    decode_all(&primary.query(EVENTS_BY_NID, &params).await?)
}

/// Events of a shard by id, in no order.
///
/// # Errors
/// As [`Connection::query`].
pub async fn events_by_id(
    primary: &Connection,
    shard: Shard,
    ids: &[String],
) -> Result<Vec<StoredEvent>, StorageError> {
    let params = [
        (&shard.number() as _, Type::INT2),
        (&ids as _, Type::TEXT_ARRAY),
    ];
    decode_all(&primary.query(EVENTS_BY_ID, &params).await?)
}

/// The ids of events of a shard, in no order.
///
/// # Errors
/// As [`Connection::query`].
pub async fn event_ids(
    primary: &Connection,
    shard: Shard,
    nids: &[EventNid],
) -> Result<Vec<(EventNid, String)>, StorageError> {
    let nids: Vec<i64> = nids.iter().map(|nid| nid.0).collect();
    let params = [
        (&shard.number() as _, Type::INT2),
        (&nids as _, Type::INT8_ARRAY),
    ];
    let rows = primary.query(EVENT_IDS, &params).await?;
    rows.iter()
        .map(|row| Ok((EventNid(row.try_get(0)?), row.try_get(1)?)))
        .collect()
}

/// The events in some slots of a room's current state, in no order.
///
/// # Errors
/// As [`Connection::query`].
pub async fn current_state(
    primary: &Connection,
    shard: Shard,
    room: RoomNid,
    slots: &[SlotNid],
) -> Result<Vec<StoredEvent>, StorageError> {
    let slots: Vec<i64> = slots.iter().map(|nid| nid.0).collect();
    let params = [
        (&shard.number() as _, Type::INT2),
        (&room.0 as _, Type::INT8),
        (&slots as _, Type::INT8_ARRAY),
    ];
    decode_all(&primary.query(STATE_BY_SLOT, &params).await?)
}

/// A snapshot's links, itself first, up to and with the first one of level `up_to` or higher.
///
/// # Errors
/// As [`Connection::query`].
pub async fn chain(
    connection: &Connection,
    shard: Shard,
    snapshot: SnapshotNid,
    up_to: i16,
) -> Result<Vec<SnapshotLink>, StorageError> {
    let params = [
        (&shard.number() as _, Type::INT2),
        (&snapshot.0 as _, Type::INT8),
        (&up_to as _, Type::INT2),
    ];
    connection
        .query(CHAIN, &params)
        .await?
        .iter()
        .map(decode_link)
        .collect()
}

/// Snapshots of a room whose state has this hash; compare before using one.
///
/// # Errors
/// As [`Connection::query`].
pub async fn snapshots_by_hash(
    primary: &Connection,
    shard: Shard,
    room: RoomNid,
    hash: &[u8; 16],
) -> Result<Vec<SnapshotNid>, StorageError> {
    let params = [
        (&shard.number() as _, Type::INT2),
        (&room.0 as _, Type::INT8),
        (&hash.as_slice() as _, Type::BYTEA),
    ];
    let rows = primary.query(BY_HASH, &params).await?;
    rows.iter()
        .map(|row| Ok(SnapshotNid(row.try_get(0)?)))
        .collect()
}

/// Some joined members of a room whose user id ends with `:server`.
///
/// # Errors
/// As [`Connection::query`].
pub async fn joined_members_of_server(
    primary: &Connection,
    shard: Shard,
    room: RoomNid,
    server: &str,
    limit: i64,
) -> Result<Vec<String>, StorageError> {
    // Server names hold no character that LIKE treats as special but the underscore, which then
    // matches more: the caller checks the ids.
    let pattern = format!("%:{server}");
    let params = [
        (&shard.number() as _, Type::INT2),
        (&room.0 as _, Type::INT8),
        (&pattern as _, Type::TEXT),
        (&limit as _, Type::INT8),
    ];
    let rows = primary.query(JOINED_MEMBERS, &params).await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// The room and the creator of an alias.
///
/// # Errors
/// As [`Connection::query`].
pub async fn alias(
    primary: &Connection,
    alias: &str,
) -> Result<Option<(RoomNid, String)>, StorageError> {
    let row = primary.query_opt(ALIAS, &[(&alias, Type::TEXT)]).await?;
    row.map(|row| Ok((RoomNid(row.try_get(0)?), row.try_get(1)?)))
        .transpose()
}

/// The id of the room that an alias leads to.
///
/// # Errors
/// As [`Connection::query`].
pub async fn room_of_alias(
    connection: &Connection,
    alias: &str,
) -> Result<Option<String>, StorageError> {
    let row = connection
        .query_opt(ROOM_OF_ALIAS, &[(&alias, Type::TEXT)])
        .await?;
    row.map(|row| Ok(row.try_get(0)?)).transpose()
}

/// The rooms in which a user has one of some memberships, in order of their numbers, after `after`.
///
/// # Errors
/// As [`Connection::query`].
pub async fn rooms_of_user_after(
    primary: &Connection,
    user: UserNid,
    memberships: &[Membership],
    after: RoomNid,
    limit: i64,
) -> Result<Vec<(RoomNid, String)>, StorageError> {
    let memberships: Vec<i16> = memberships.iter().map(|m| m.to_i16()).collect();
    let params = [
        (&user.0 as _, Type::INT8),
        (&after.0 as _, Type::INT8),
        (&limit as _, Type::INT8),
        (&memberships as _, Type::INT2_ARRAY),
    ];
    let rows = primary.query(ROOMS_OF, &params).await?;
    rows.iter()
        .map(|row| Ok((RoomNid(row.try_get(0)?), row.try_get(1)?)))
        .collect()
}

/// A membership column.
///
/// # Errors
/// `Inconsistent` for a number that is none.
pub fn decode_membership(number: i16) -> Result<Membership, StorageError> {
    Membership::from_i16(number)
        .ok_or_else(|| StorageError::inconsistent(format!("membership {number}")))
}

fn decode_all(rows: &[Row]) -> Result<Vec<StoredEvent>, StorageError> {
    rows.iter().map(decode_event).collect()
}

fn decode_event(row: &Row) -> Result<StoredEvent, StorageError> {
    Ok(StoredEvent {
        event_nid: EventNid(row.try_get(0)?),
        event_id: row.try_get(1)?,
        room_nid: RoomNid(row.try_get(2)?),
        pos: row.try_get(3)?,
        status: row.try_get(4)?,
        depth: row.try_get(5)?,
        origin_server_ts: row.try_get(6)?,
        sender: row.try_get(7)?,
        event_type: row.try_get(8)?,
        state_key: row.try_get(9)?,
        slot_nid: row.try_get::<_, Option<i64>>(10)?.map(SlotNid),
        snapshot_before: SnapshotNid(row.try_get(11)?),
        redacted_by: row.try_get::<_, Option<i64>>(12)?.map(EventNid),
        content: row.try_get(13)?,
        envelope: row.try_get(14)?,
    })
}

fn decode_link(row: &Row) -> Result<SnapshotLink, StorageError> {
    let hash: &[u8] = row.try_get(4)?;
    Ok(SnapshotLink {
        snapshot_nid: SnapshotNid(row.try_get(0)?),
        level: row.try_get(1)?,
        parent_nid: row.try_get::<_, Option<i64>>(2)?.map(SnapshotNid),
        length: row.try_get(3)?,
        hash: hash
            .try_into()
            .map_err(|_not_16| StorageError::inconsistent("snapshots.hash: not 16 bytes"))?,
        entries: row.try_get(5)?,
    })
}
