//! Who has been in which room when, for readers. The rows are insert only: the last one at or below
//! a position is the membership there.

use ganglion_model::{EventNid, Membership, Position, RoomNid, Shard, UserNid};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::connection::Connection;
use crate::error::StorageError;
use crate::rooms::decode_membership;

/// One change of a user's membership.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MembershipRecord {
    /// Where in the log of the room's shard.
    pub pos: Position,
    /// The membership from there on.
    pub membership: Membership,
    /// The member event.
    pub event_nid: EventNid,
}

/// A room in which a user has or had a membership.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomOfUser {
    /// Its number.
    pub room_nid: RoomNid,
    /// Its id.
    pub room_id: String,
    /// The shard of its log.
    pub shard: Shard,
    /// Its room version.
    pub version: String,
    /// All changes in order, but those that the user has forgotten.
    pub changes: Vec<MembershipRecord>,
    /// Changes up to here are forgotten.
    pub forgotten: Option<Position>,
}

/// A user's membership in one room, what is forgotten of it included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastMembership {
    /// The last change.
    pub last: MembershipRecord,
    /// Whether the user has forgotten it.
    pub forgotten: bool,
}

const OF_USER: &str = "SELECT m.pos, m.membership, m.event_nid, m.room_nid, m.shard, r.room_id, \
    r.version, f.up_to FROM user_memberships m JOIN rooms r ON r.room_nid = m.room_nid \
    LEFT JOIN forgotten_rooms f ON f.user_nid = m.user_nid AND f.room_nid = m.room_nid \
    WHERE m.user_nid = $1 ORDER BY m.room_nid, m.pos";
const IN_ROOM: &str = "SELECT m.pos, m.membership, m.event_nid FROM user_memberships m \
    LEFT JOIN forgotten_rooms f ON f.user_nid = m.user_nid AND f.room_nid = m.room_nid \
    WHERE m.shard = $1 AND m.user_nid = $2 AND m.room_nid = $3 \
    AND (f.up_to IS NULL OR m.pos > f.up_to) ORDER BY m.pos";
const LAST: &str = "SELECT m.pos, m.membership, m.event_nid, coalesce(m.pos <= f.up_to, false) \
    FROM user_memberships m \
    LEFT JOIN forgotten_rooms f ON f.user_nid = m.user_nid AND f.room_nid = m.room_nid \
    WHERE m.shard = $1 AND m.user_nid = $2 AND m.room_nid = $3 ORDER BY m.pos DESC LIMIT 1";

const NEWEST: &str = "SELECT DISTINCT ON (user_nid, room_nid) user_nid, room_nid, membership \
    FROM user_memberships WHERE user_nid = ANY($1) ORDER BY user_nid, room_nid, pos DESC";

const SHARE_ROOM: &str = "SELECT EXISTS (SELECT FROM (SELECT DISTINCT ON (shard, room_nid) \
    shard, room_nid, membership FROM user_memberships WHERE user_nid = $1 \
    ORDER BY shard, room_nid, pos DESC) AS mine CROSS JOIN LATERAL (SELECT o.membership \
    FROM user_memberships o WHERE o.shard = mine.shard AND o.user_nid = $2 \
    AND o.room_nid = mine.room_nid ORDER BY o.pos DESC LIMIT 1) AS theirs \
    WHERE mine.membership = $3 AND theirs.membership = $3)";

/// Every statement of this module.
pub(crate) const STATEMENTS: &[&str] = &[OF_USER, IN_ROOM, LAST, NEWEST, SHARE_ROOM];

/// Every room in which a user has or had a membership, with all changes that are not forgotten, in
/// order of the rooms' numbers.
///
/// # Errors
/// As [`Connection::query`].
pub async fn of_user(
    connection: &Connection,
    user: UserNid,
) -> Result<Vec<RoomOfUser>, StorageError> {
    let mut rooms: Vec<RoomOfUser> = Vec::new();
    for row in connection.query(OF_USER, &[(&user.0, Type::INT8)]).await? {
        let change = decode_change(&row)?;
        let room_nid = RoomNid(row.try_get(3)?);
        let forgotten: Option<Position> = row.try_get(7)?;
        let change = Some(change).filter(|change| Some(change.pos) > forgotten);
        match rooms.last_mut() {
            Some(room) if room.room_nid == room_nid => room.changes.extend(change),
            _ => {
                let number: i16 = row.try_get(4)?;
                let shard = Shard::new(i64::from(number)).ok_or_else(|| {
                    StorageError::inconsistent(format!("user_memberships.shard {number}"))
                })?;
                rooms.push(RoomOfUser {
                    room_nid,
                    room_id: row.try_get(5)?,
                    shard,
                    version: row.try_get(6)?,
                    changes: change.into_iter().collect(),
                    forgotten,
                });
            }
        }
    }
    Ok(rooms)
}

/// Whether two users are joined to the same room. The second is looked up only in the rooms of the first.
///
/// # Errors
/// As [`Connection::query_opt`].
pub async fn share_room(
    connection: &Connection,
    user: UserNid,
    other: UserNid,
) -> Result<bool, StorageError> {
    let params = [
        (&user.0 as _, Type::INT8),
        (&other.0 as _, Type::INT8),
        (&Membership::Join.to_i16() as _, Type::INT2),
    ];
    let row = connection.query_opt(SHARE_ROOM, &params).await?;
    row.map_or(Ok(false), |row| Ok(row.try_get(0)?))
}

/// The rooms that users are joined to, in order of users and rooms.
///
/// # Errors
/// As [`Connection::query`].
pub async fn joined_rooms(
    connection: &Connection,
    users: &[UserNid],
) -> Result<Vec<(UserNid, RoomNid)>, StorageError> {
    let users: Vec<i64> = users.iter().map(|user| user.0).collect();
    let rows = connection
        .query(NEWEST, &[(&users, Type::INT8_ARRAY)])
        .await?;
    let mut joined = Vec::with_capacity(rows.len());
    for row in rows {
        if decode_membership(row.try_get(2)?)? == Membership::Join {
            joined.push((UserNid(row.try_get(0)?), RoomNid(row.try_get(1)?)));
        }
    }
    Ok(joined)
}

/// All changes of a user's membership in one room that are not forgotten, in order.
///
/// # Errors
/// As [`Connection::query`].
pub async fn in_room(
    connection: &Connection,
    shard: Shard,
    user: UserNid,
    room: RoomNid,
) -> Result<Vec<MembershipRecord>, StorageError> {
    let params = [
        (&shard.number() as _, Type::INT2),
        (&user.0 as _, Type::INT8),
        (&room.0 as _, Type::INT8),
    ];
    connection
        .query(IN_ROOM, &params)
        .await?
        .iter()
        .map(decode_change)
        .collect()
}

/// The last change of a user's membership in one room; `None` if the user never had one.
///
/// # Errors
/// As [`Connection::query`].
pub async fn last(
    connection: &Connection,
    shard: Shard,
    user: UserNid,
    room: RoomNid,
) -> Result<Option<LastMembership>, StorageError> {
    let params = [
        (&shard.number() as _, Type::INT2),
        (&user.0 as _, Type::INT8),
        (&room.0 as _, Type::INT8),
    ];
    let row = connection.query_opt(LAST, &params).await?;
    row.map(|row| {
        Ok(LastMembership {
            last: decode_change(&row)?,
            forgotten: row.try_get(3)?,
        })
    })
    .transpose()
}

fn decode_change(row: &Row) -> Result<MembershipRecord, StorageError> {
    Ok(MembershipRecord {
        pos: row.try_get(0)?,
        membership: decode_membership(row.try_get(1)?)?,
        event_nid: EventNid(row.try_get(2)?),
    })
}
