//! Room states, for readers. The rows of a snapshot's chain: [`crate::rooms::chain`].

use ganglion_model::{EventNid, Membership, RoomNid, Shard, SlotNid};
use tokio_postgres::types::Type;

use crate::connection::Connection;
use crate::error::StorageError;
use crate::rooms::decode_membership;
use crate::timeline::{EventRecord, decode_events, event_columns, event_words};

/// Which events of a state are wanted.
#[derive(Debug, Clone, Copy)]
pub enum Wanted<'a> {
    /// All.
    All,
    /// All but member events, and the member events in these slots.
    WithoutMembersBut(&'a [SlotNid]),
    /// Member events only.
    Members,
}

const EVENTS: &str = concat!(
    "SELECT ",
    event_columns!(),
    " FROM events e",
    event_words!(),
    "WHERE e.shard = $1 AND e.event_nid = ANY($2) AND ($3 = 0 \
     OR ($3 = 1 AND (e.membership IS NULL OR e.slot_nid = ANY($4))) \
     OR ($3 = 2 AND e.membership IS NOT NULL))"
);
const COUNTS: &str = "SELECT c.membership, count(*) FROM current_state c \
    WHERE c.shard = $1 AND c.room_nid = $2 AND c.membership = ANY($3) GROUP BY c.membership";
const HEROES: &str = "SELECT s.state_key FROM current_state c \
    JOIN events e ON e.shard = c.shard AND e.event_nid = c.event_nid \
    JOIN state_slots s ON s.slot_nid = c.slot_nid \
    WHERE c.shard = $1 AND e.shard = $1 AND c.room_nid = $2 AND c.membership = ANY($3) \
    AND s.state_key <> $4 ORDER BY e.pos, e.event_nid LIMIT $5";

/// Every statement of this module.
pub(crate) const STATEMENTS: &[&str] = &[EVENTS, COUNTS, HEROES];

/// Of the events with these numbers, those that are wanted, in no order.
///
/// # Errors
/// As [`Connection::query`].
pub async fn events(
    connection: &Connection,
    shard: Shard,
    nids: &[EventNid],
    wanted: Wanted<'_>,
) -> Result<Vec<EventRecord>, StorageError> {
    let nids: Vec<i64> = nids.iter().map(|nid| nid.0).collect();
    let (mode, slots): (i16, &[SlotNid]) = match wanted {
        Wanted::All => (0, &[]),
        Wanted::WithoutMembersBut(slots) => (1, slots),
        Wanted::Members => (2, &[]),
    };
    let slots: Vec<i64> = slots.iter().map(|nid| nid.0).collect();
    let params = [
        (&shard.number() as _, Type::INT2),
        (&nids as _, Type::INT8_ARRAY),
        (&mode as _, Type::INT2),
        (&slots as _, Type::INT8_ARRAY),
    ];
    decode_events(&connection.query(EVENTS, &params).await?)
}

/// How many users of a room have each of some memberships now; one that nobody has is left out.
///
/// # Errors
/// As [`Connection::query`].
pub async fn member_counts(
    connection: &Connection,
    shard: Shard,
    room: RoomNid,
    memberships: &[Membership],
) -> Result<Vec<(Membership, i64)>, StorageError> {
    let numbers: Vec<i16> = memberships
        .iter()
        .map(|membership| membership.to_i16())
        .collect();
    let params = [
        (&shard.number() as _, Type::INT2),
        (&room.0 as _, Type::INT8),
        (&numbers as _, Type::INT2_ARRAY),
    ];
    let rows = connection.query(COUNTS, &params).await?;
    rows.iter()
        .map(|row| Ok((decode_membership(row.try_get(0)?)?, row.try_get(1)?)))
        .collect()
}

/// The ids of the first users of a room, by the place of their member event, that have one of some
/// memberships now; `but` is left out.
///
/// # Errors
/// As [`Connection::query`].
pub async fn first_members(
    connection: &Connection,
    shard: Shard,
    room: RoomNid,
    memberships: &[Membership],
    (but, limit): (&str, i64),
) -> Result<Vec<String>, StorageError> {
    let numbers: Vec<i16> = memberships
        .iter()
        .map(|membership| membership.to_i16())
        .collect();
    let params = [
        (&shard.number() as _, Type::INT2),
        (&room.0 as _, Type::INT8),
        (&numbers as _, Type::INT2_ARRAY),
        (&but as _, Type::TEXT),
        (&limit as _, Type::INT8),
    ];
    let rows = connection.query(HEROES, &params).await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}
