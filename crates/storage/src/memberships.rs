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
    /// All changes in order; never empty.
    pub changes: Vec<MembershipRecord>,
}

const OF_USER: &str = "SELECT m.pos, m.membership, m.event_nid, m.room_nid, m.shard, r.room_id, \
    r.version FROM user_memberships m JOIN rooms r ON r.room_nid = m.room_nid \
    WHERE m.user_nid = $1 ORDER BY m.room_nid, m.pos";
const IN_ROOM: &str = "SELECT pos, membership, event_nid FROM user_memberships \
    WHERE shard = $1 AND user_nid = $2 AND room_nid = $3 ORDER BY pos";

/// Every statement of this module.
pub(crate) const STATEMENTS: &[&str] = &[OF_USER, IN_ROOM];

/// Every room in which a user has or had a membership, with all changes, in order of the rooms'
/// numbers.
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
        match rooms.last_mut() {
            Some(room) if room.room_nid == room_nid => room.changes.push(change),
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
                    changes: vec![change],
                });
            }
        }
    }
    Ok(rooms)
}

/// All changes of a user's membership in one room, in order.
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

fn decode_change(row: &Row) -> Result<MembershipRecord, StorageError> {
    Ok(MembershipRecord {
        pos: row.try_get(0)?,
        membership: decode_membership(row.try_get(1)?)?,
        event_nid: EventNid(row.try_get(2)?),
    })
}
