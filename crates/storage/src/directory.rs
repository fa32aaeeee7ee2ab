//! Aliases and the public directory, for readers.

use ganglion_model::{RoomNid, Shard, SlotNid};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::connection::Connection;
use crate::error::StorageError;

/// A room of the public directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedRoom {
    /// Its number.
    pub room_nid: RoomNid,
    /// Its id.
    pub room_id: String,
    /// The shard of its log.
    pub shard: Shard,
    /// Its room version.
    pub version: String,
}

const ROOM_OF_ALIAS: &str = "SELECT r.room_id FROM room_aliases a \
    JOIN rooms r ON r.room_nid = a.room_nid WHERE a.alias = $1";
const ALIASES: &str = "SELECT alias FROM room_aliases WHERE room_nid = $1 ORDER BY alias";
const IS_PUBLISHED: &str = "SELECT room_nid FROM public_rooms WHERE room_nid = $1";
const OLDER: &str = "SELECT p.room_nid, r.room_id, p.shard, r.version FROM public_rooms p \
    JOIN rooms r ON r.room_nid = p.room_nid \
    WHERE p.room_nid < $1 ORDER BY p.room_nid DESC LIMIT $2";
const NEWER: &str = "SELECT p.room_nid, r.room_id, p.shard, r.version FROM public_rooms p \
    JOIN rooms r ON r.room_nid = p.room_nid \
    WHERE p.room_nid > $1 ORDER BY p.room_nid LIMIT $2";
const COUNT: &str = "SELECT count(*) FROM (SELECT room_nid FROM public_rooms LIMIT $1) AS p";
const CONTENTS: &str = "SELECT c.room_nid, c.slot_nid, e.content \
    FROM unnest($1::smallint[], $2::bigint[]) AS w (shard, room_nid) \
    JOIN current_state c ON c.shard = w.shard AND c.room_nid = w.room_nid \
    AND c.slot_nid = ANY($3) \
    JOIN events e ON e.shard = c.shard AND e.event_nid = c.event_nid";
const JOINED: &str = "SELECT c.room_nid, count(*) \
    FROM unnest($1::smallint[], $2::bigint[]) AS w (shard, room_nid) \
    JOIN current_state c ON c.shard = w.shard AND c.room_nid = w.room_nid AND c.membership = 2 \
    GROUP BY c.room_nid";

/// Every statement of this module.
pub(crate) const STATEMENTS: &[&str] = &[
    ROOM_OF_ALIAS,
    ALIASES,
    IS_PUBLISHED,
    OLDER,
    NEWER,
    COUNT,
    CONTENTS,
    JOINED,
];

/// The id of the room that an alias of this server leads to.
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

/// The aliases of this server that lead to a room, in order.
///
/// # Errors
/// As [`Connection::query`].
pub async fn aliases(connection: &Connection, room: RoomNid) -> Result<Vec<String>, StorageError> {
    let rows = connection.query(ALIASES, &[(&room.0, Type::INT8)]).await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// Whether a room is in the public directory.
///
/// # Errors
/// As [`Connection::query`].
pub async fn is_published(connection: &Connection, room: RoomNid) -> Result<bool, StorageError> {
    let params = [(&room.0 as _, Type::INT8)];
    let row = connection.query_opt(IS_PUBLISHED, &params).await?;
    Ok(row.is_some())
}

/// The next rooms of the directory older than one, the newest first.
///
/// # Errors
/// As [`Connection::query`].
pub async fn older(
    connection: &Connection,
    than: RoomNid,
    limit: i64,
) -> Result<Vec<PublishedRoom>, StorageError> {
    let params = [(&than.0 as _, Type::INT8), (&limit as _, Type::INT8)];
    let rows = connection.query(OLDER, &params).await?;
    rows.iter().map(published).collect()
}

/// The next rooms of the directory newer than one, the oldest first.
///
/// # Errors
/// As [`Connection::query`].
pub async fn newer(
    connection: &Connection,
    than: RoomNid,
    limit: i64,
) -> Result<Vec<PublishedRoom>, StorageError> {
    let params = [(&than.0 as _, Type::INT8), (&limit as _, Type::INT8)];
    let rows = connection.query(NEWER, &params).await?;
    rows.iter().map(published).collect()
}

/// How many rooms are in the directory, counted up to `limit`.
///
/// # Errors
/// As [`Connection::query`].
pub async fn count(connection: &Connection, limit: i64) -> Result<i64, StorageError> {
    let row = connection.query_opt(COUNT, &[(&limit, Type::INT8)]).await?;
    row.map_or(Ok(0), |row| Ok(row.try_get(0)?))
}

/// The contents in some slots of the current state of some rooms, in no order.
///
/// # Errors
/// As [`Connection::query`].
pub async fn contents(
    connection: &Connection,
    rooms: &[(Shard, RoomNid)],
    slots: &[SlotNid],
) -> Result<Vec<(RoomNid, SlotNid, Vec<u8>)>, StorageError> {
    let (shards, nids) = columns(rooms);
    let slots: Vec<i64> = slots.iter().map(|slot| slot.0).collect();
    let params = [
        (&shards as _, Type::INT2_ARRAY),
        (&nids as _, Type::INT8_ARRAY),
        (&slots as _, Type::INT8_ARRAY),
    ];
    let rows = connection.query(CONTENTS, &params).await?;
    rows.iter()
        .map(|row| {
            Ok((
                RoomNid(row.try_get(0)?),
                SlotNid(row.try_get(1)?),
                row.try_get(2)?,
            ))
        })
        .collect()
}

/// How many users are joined to some rooms; a room without any is left out.
///
/// # Errors
/// As [`Connection::query`].
pub async fn joined_members(
    connection: &Connection,
    rooms: &[(Shard, RoomNid)],
) -> Result<Vec<(RoomNid, i64)>, StorageError> {
    let (shards, nids) = columns(rooms);
    let params = [
        (&shards as _, Type::INT2_ARRAY),
        (&nids as _, Type::INT8_ARRAY),
    ];
    let rows = connection.query(JOINED, &params).await?;
    rows.iter()
        .map(|row| Ok((RoomNid(row.try_get(0)?), row.try_get(1)?)))
        .collect()
}

fn columns(rooms: &[(Shard, RoomNid)]) -> (Vec<i16>, Vec<i64>) {
    rooms
        .iter()
        .map(|(shard, room)| (shard.number(), room.0))
        .unzip()
}

fn published(row: &Row) -> Result<PublishedRoom, StorageError> {
    let number: i16 = row.try_get(2)?;
    Ok(PublishedRoom {
        room_nid: RoomNid(row.try_get(0)?),
        room_id: row.try_get(1)?,
        shard: Shard::new(i64::from(number))
            .ok_or_else(|| StorageError::inconsistent(format!("public_rooms.shard {number}")))?,
        version: row.try_get(3)?,
    })
}
