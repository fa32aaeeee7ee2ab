//! Numbers for strings: users, event types, state slots, rooms. Each is given once and never
//! changes, so whoever has seen one may keep it.
//!
//! Interning happens before a batch, in autocommit statements over sorted keys, so that two
//! batches never wait for each other's keys.

use ganglion_model::{RoomNid, Shard, SlotNid, TypeNid, UserNid};
use tokio_postgres::types::Type;

use crate::connection::Connection;
use crate::error::StorageError;

const ALLOCATE: &str =
    "UPDATE id_allocator SET next = next + $1 WHERE allocator = 0 RETURNING next";
const USERS: &str = "SELECT user_id, user_nid FROM users WHERE user_id = ANY($1)";
const USERS_BY_NID: &str = "SELECT user_nid, user_id FROM users WHERE user_nid = ANY($1)";
const ADD_USERS: &str = "INSERT INTO users (user_nid, user_id) \
    SELECT * FROM unnest($1::bigint[], $2::text[]) ON CONFLICT DO NOTHING";
const TYPES: &str = "SELECT type, type_nid FROM event_types WHERE type = ANY($1)";
const ADD_TYPES: &str = "INSERT INTO event_types (type_nid, type) \
    SELECT * FROM unnest($1::bigint[], $2::text[]) ON CONFLICT DO NOTHING";
const SLOTS: &str = "SELECT s.type, s.state_key, s.slot_nid FROM state_slots s \
    JOIN unnest($1::text[], $2::text[]) AS k (type, state_key) USING (type, state_key)";
const SLOTS_BY_NID: &str =
    "SELECT slot_nid, type, state_key FROM state_slots WHERE slot_nid = ANY($1)";
const ADD_SLOTS: &str = "INSERT INTO state_slots (slot_nid, type, state_key) \
    SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[]) ON CONFLICT DO NOTHING";
const ROOMS: &str = "SELECT room_nid, shard, version, room_id FROM rooms WHERE room_id = ANY($1)";
const ADD_ROOM: &str = "INSERT INTO rooms (room_nid, room_id, shard, version, created_at) \
    VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING";

/// Every statement of this module.
pub(crate) const STATEMENTS: &[&str] = &[
    ALLOCATE,
    USERS,
    USERS_BY_NID,
    ADD_USERS,
    TYPES,
    ADD_TYPES,
    SLOTS,
    SLOTS_BY_NID,
    ADD_SLOTS,
    ROOMS,
    ADD_ROOM,
];

/// A room's number and what never changes about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomRow {
    /// Its number.
    pub room_nid: RoomNid,
    /// The shard of its log.
    pub shard: Shard,
    /// Its room version, as the spec writes it.
    pub version: String,
}

/// Takes `count` fresh numbers: from the returned one on.
///
/// # Errors
/// As [`Connection::query`].
pub async fn allocate(primary: &Connection, count: i64) -> Result<i64, StorageError> {
    let row = primary.query_opt(ALLOCATE, &[(&count, Type::INT8)]).await?;
    let next: i64 = row
        .ok_or_else(|| StorageError::inconsistent("id_allocator has no row 0"))?
        .try_get(0)?;
    Ok(next - count)
}

/// The numbers of users that have one, in no order.
///
/// # Errors
/// As [`Connection::query`].
pub async fn find_users(
    connection: &Connection,
    user_ids: &[String],
) -> Result<Vec<(String, UserNid)>, StorageError> {
    let rows = connection
        .query(USERS, &[(&user_ids, Type::TEXT_ARRAY)])
        .await?;
    rows.iter()
        .map(|row| Ok((row.try_get(0)?, UserNid(row.try_get(1)?))))
        .collect()
}

/// The ids of users by number, in no order.
///
/// # Errors
/// As [`Connection::query`].
pub async fn user_ids(
    connection: &Connection,
    nids: &[UserNid],
) -> Result<Vec<(UserNid, String)>, StorageError> {
    let nids: Vec<i64> = nids.iter().map(|nid| nid.0).collect();
    let rows = connection
        .query(USERS_BY_NID, &[(&nids, Type::INT8_ARRAY)])
        .await?;
    rows.iter()
        .map(|row| Ok((UserNid(row.try_get(0)?), row.try_get(1)?)))
        .collect()
}

/// Gives numbers to users that have none; `user_ids` sorted and without repetition.
///
/// # Errors
/// As [`Connection::query`].
pub async fn intern_users(
    primary: &Connection,
    user_ids: &[String],
) -> Result<Vec<(String, UserNid)>, StorageError> {
    let found = find_users(primary, user_ids).await?;
    if found.len() == user_ids.len() {
        return Ok(found);
    }
    let missing: Vec<&String> = user_ids
        .iter()
        .filter(|id| !found.iter().any(|(known, _)| known == *id))
        .collect();
    let nids = fresh(primary, missing.len()).await?;
    primary
        .execute(
            ADD_USERS,
            &[(&nids, Type::INT8_ARRAY), (&missing, Type::TEXT_ARRAY)],
        )
        .await?;
    find_users(primary, user_ids).await
}

/// Gives numbers to event types that have none; `types` sorted and without repetition.
///
/// # Errors
/// As [`Connection::query`].
pub async fn intern_types(
    primary: &Connection,
    types: &[String],
) -> Result<Vec<(String, TypeNid)>, StorageError> {
    let found = find_types(primary, types).await?;
    if found.len() == types.len() {
        return Ok(found);
    }
    let missing: Vec<&String> = types
        .iter()
        .filter(|t| !found.iter().any(|(known, _)| known == *t))
        .collect();
    let nids = fresh(primary, missing.len()).await?;
    primary
        .execute(
            ADD_TYPES,
            &[(&nids, Type::INT8_ARRAY), (&missing, Type::TEXT_ARRAY)],
        )
        .await?;
    find_types(primary, types).await
}

/// The numbers of event types that have one, in no order.
///
/// # Errors
/// As [`Connection::query`].
pub async fn find_types(
    connection: &Connection,
    types: &[String],
) -> Result<Vec<(String, TypeNid)>, StorageError> {
    let rows = connection
        .query(TYPES, &[(&types, Type::TEXT_ARRAY)])
        .await?;
    rows.iter()
        .map(|row| Ok((row.try_get(0)?, TypeNid(row.try_get(1)?))))
        .collect()
}

/// The numbers of state slots (event type, state key) that have one, in no order.
///
/// # Errors
/// As [`Connection::query`].
pub async fn find_slots(
    connection: &Connection,
    keys: &[(String, String)],
) -> Result<Vec<((String, String), SlotNid)>, StorageError> {
    let (types, state_keys): (Vec<&str>, Vec<&str>) =
        keys.iter().map(|(t, k)| (t.as_str(), k.as_str())).unzip();
    let rows = connection
        .query(
            SLOTS,
            &[(&types, Type::TEXT_ARRAY), (&state_keys, Type::TEXT_ARRAY)],
        )
        .await?;
    rows.iter()
        .map(|row| Ok(((row.try_get(0)?, row.try_get(1)?), SlotNid(row.try_get(2)?))))
        .collect()
}

/// Event type and state key of slots by number, in no order.
///
/// # Errors
/// As [`Connection::query`].
pub async fn slot_keys(
    connection: &Connection,
    nids: &[SlotNid],
) -> Result<Vec<(SlotNid, (String, String))>, StorageError> {
    let nids: Vec<i64> = nids.iter().map(|nid| nid.0).collect();
    let rows = connection
        .query(SLOTS_BY_NID, &[(&nids, Type::INT8_ARRAY)])
        .await?;
    rows.iter()
        .map(|row| Ok((SlotNid(row.try_get(0)?), (row.try_get(1)?, row.try_get(2)?))))
        .collect()
}

/// Gives numbers to state slots that have none; `keys` sorted and without repetition.
///
/// # Errors
/// As [`Connection::query`].
pub async fn intern_slots(
    primary: &Connection,
    keys: &[(String, String)],
) -> Result<Vec<((String, String), SlotNid)>, StorageError> {
    let found = find_slots(primary, keys).await?;
    if found.len() == keys.len() {
        return Ok(found);
    }
    let missing: Vec<&(String, String)> = keys
        .iter()
        .filter(|key| !found.iter().any(|(known, _)| known == *key))
        .collect();
    let nids = fresh(primary, missing.len()).await?;
    let types: Vec<&str> = missing.iter().map(|(t, _)| t.as_str()).collect();
    let state_keys: Vec<&str> = missing.iter().map(|(_, k)| k.as_str()).collect();
    primary
        .execute(
            ADD_SLOTS,
            &[
                (&nids, Type::INT8_ARRAY),
                (&types, Type::TEXT_ARRAY),
                (&state_keys, Type::TEXT_ARRAY),
            ],
        )
        .await?;
    find_slots(primary, keys).await
}

/// A room by its id. A room that is interned need not exist yet: it exists once it has events.
///
/// # Errors
/// As [`Connection::query`].
pub async fn find_room(
    connection: &Connection,
    room_id: &str,
) -> Result<Option<RoomRow>, StorageError> {
    let mut found = find_rooms(connection, &[room_id]).await?;
    Ok(found.pop().map(|(_, room)| room))
}

/// Those of some rooms that are known, with their ids, in no order.
///
/// # Errors
/// As [`Connection::query`].
pub async fn find_rooms(
    connection: &Connection,
    room_ids: &[&str],
) -> Result<Vec<(String, RoomRow)>, StorageError> {
    let rows = connection
        .query(ROOMS, &[(&room_ids, Type::TEXT_ARRAY)])
        .await?;
    rows.iter()
        .map(|row| {
            let room_id: String = row.try_get(3)?;
            let shard: i16 = row.try_get(1)?;
            let room = RoomRow {
                room_nid: RoomNid(row.try_get(0)?),
                shard: Shard::new(i64::from(shard)).ok_or_else(|| {
                    StorageError::inconsistent(format!("rooms.shard of {room_id}"))
                })?,
                version: row.try_get(2)?,
            };
            Ok((room_id, room))
        })
        .collect()
}

/// Gives a number to a room that has none.
///
/// # Errors
/// As [`Connection::query`].
pub async fn intern_room(
    primary: &Connection,
    room_id: &str,
    shard: Shard,
    version: &str,
    now_ms: i64,
) -> Result<RoomRow, StorageError> {
    if let Some(room) = find_room(primary, room_id).await? {
        return Ok(room);
    }
    let nid = allocate(primary, 1).await?;
    primary
        .execute(
            ADD_ROOM,
            &[
                (&nid, Type::INT8),
                (&room_id, Type::TEXT),
                (&shard.number(), Type::INT2),
                (&version, Type::TEXT),
                (&now_ms, Type::INT8),
            ],
        )
        .await?;
    find_room(primary, room_id)
        .await?
        .ok_or_else(|| StorageError::inconsistent(format!("rooms: {room_id} is not there")))
}

async fn fresh(primary: &Connection, count: usize) -> Result<Vec<i64>, StorageError> {
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    let first = allocate(primary, count).await?;
    Ok((first..first + count).collect())
}
