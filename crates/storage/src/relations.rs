//! Which events relate to which (client-server API, "Forming relationships between events"), for
//! readers.
//!
//! What is counted is counted in the database: whether a user may see an event is decided there,
//! too, by [`Sight`].

use ganglion_model::{EventNid, Position, RoomNid, Shard, TypeNid, UserNid};
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use crate::connection::Connection;
use crate::error::StorageError;
use crate::timeline::{EventRecord, Range, decode_events, event_columns, event_words};

/// For whom something is counted, and as of when.
#[derive(Debug, Clone)]
pub struct Beholder<'a> {
    /// The user.
    pub user_nid: UserNid,
    /// What the user may see.
    pub sight: &'a Sight,
    /// Users whose events do not count.
    pub ignored: &'a [String],
    /// Events behind it do not count.
    pub up_to: Position,
}

/// The positions at which a user may see events, by the history visibility stored with each, as
/// PostgreSQL's multiranges of bigint. `world_readable` needs none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sight {
    /// Of `joined`.
    pub joined: String,
    /// Of `invited`.
    pub invited: String,
    /// Of `shared`.
    pub shared: String,
}

/// Which children of an event.
#[derive(Debug, Clone, Copy)]
pub struct Related<'a> {
    /// The parent's id.
    pub parent: &'a str,
    /// Only with this kind of relation.
    pub rel_type: Option<&'a str>,
    /// Only of this type.
    pub event_type: Option<&'a str>,
    /// With the children's children, down to [`DEPTH`].
    pub deep: bool,
}

/// How deep relations are followed.
pub const DEPTH: i16 = 3;

/// What is told of an event's children.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Aggregate {
    /// It is referred to: the child's id. The oldest first.
    Reference(String),
    /// Its newest valid edit.
    Replace(EventNid),
    /// It is the root of a thread.
    Thread {
        /// The newest reply.
        latest: EventNid,
        /// How many replies; threads of more than ten thousand are not counted further.
        count: i64,
        /// The beholder wrote the root or a reply.
        participated: bool,
    },
}

/// Threads in the order of their newest replies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Threads {
    /// The position of the newest reply, and the root.
    pub found: Vec<(Position, EventNid)>,
    /// Where looking ended, if there may be more below.
    pub looked_down_to: Option<Position>,
}

/// Replies looked at for one list of threads: each newest reply is found among the older ones.
const MOST_REPLIES: i64 = 2_000;

macro_rules! children {
    () => {
        "c.shard = $1 AND c.room_nid = $2 AND ($4::text IS NULL OR c.rel_type = $4) \
         AND ($5::text IS NULL \
         OR c.type_nid = (SELECT k.type_nid FROM event_types k WHERE k.type = $5)) "
    };
}
macro_rules! related {
    ($order:literal) => {
        concat!(
            "SELECT ",
            event_columns!(),
            " FROM (SELECT c.event_nid FROM events c WHERE c.relates_to = $3 AND ",
            children!(),
            "AND c.pos > $6 AND c.pos <= $7 ORDER BY c.pos ",
            $order,
            " LIMIT $8) AS found JOIN events e ON e.shard = $1 AND e.event_nid = found.event_nid",
            event_words!(),
            "ORDER BY e.pos ",
            $order
        )
    };
}
// The limit inside is of the work: trees that large are cut off, at their outer branches.
macro_rules! related_deep {
    ($order:literal) => {
        concat!(
            "WITH RECURSIVE tree (event_nid, event_id, pos, depth) AS ( \
             SELECT c.event_nid, c.event_id, c.pos, 1 FROM events c WHERE c.relates_to = $3 AND ",
            children!(),
            "AND c.pos IS NOT NULL UNION ALL \
             SELECT c.event_nid, c.event_id, c.pos, t.depth + 1 FROM tree t \
             JOIN events c ON c.relates_to = t.event_id AND ",
            children!(),
            "AND c.pos IS NOT NULL WHERE t.depth < 3) \
             SELECT ",
            event_columns!(),
            " FROM (SELECT t.event_nid FROM (SELECT * FROM tree LIMIT 10000) AS t \
             WHERE t.pos > $6 AND t.pos <= $7 ORDER BY t.pos ",
            $order,
            " LIMIT $8) AS found JOIN events e ON e.shard = $1 AND e.event_nid = found.event_nid",
            event_words!(),
            "ORDER BY e.pos ",
            $order
        )
    };
}
const LATEST: &str = related!("DESC");
const EARLIEST: &str = related!("");
const LATEST_DEEP: &str = related_deep!("DESC");
const EARLIEST_DEEP: &str = related_deep!("");

/// An event that counts for the beholder: seen, not of an ignored user, not too new. The numbers
/// are those of [`HistoryVisibility`](ganglion_model::HistoryVisibility).
macro_rules! counts {
    ($of:literal) => {
        concat!(
            $of,
            ".shard = $1 AND ",
            $of,
            ".room_nid = $2 AND ",
            $of,
            ".pos <= $4 AND (",
            $of,
            ".visibility = 1 OR ",
            $of,
            ".pos <@ CASE ",
            $of,
            ".visibility WHEN 3 THEN $5::text::int8multirange \
             WHEN 2 THEN $6::text::int8multirange ELSE $7::text::int8multirange END) AND ",
            $of,
            ".sender_nid <> ALL (ARRAY(SELECT u.user_nid FROM users u WHERE u.user_id = ANY($8))) "
        )
    };
}

// $9 is the beholder. A parent is never a state event. Edits: "Validity of replacement events";
// whether it has a new content was looked at when it was stored.
const AGGREGATES: &str = concat!(
    "WITH parents AS MATERIALIZED ( \
     SELECT p.event_nid, p.event_id, p.sender_nid, p.type_nid, p.rel_type, p.redacted_by \
     FROM events p WHERE p.shard = $1 AND p.event_nid = ANY($3) AND p.slot_nid IS NULL) \
     SELECT 0::smallint, p.event_nid, r.event_nid, r.event_id, 0::bigint, false \
     FROM parents p CROSS JOIN LATERAL ( \
     SELECT c.event_nid, c.event_id FROM events c WHERE c.relates_to = p.event_id \
     AND c.rel_type = 'm.reference' AND ",
    counts!("c"),
    "ORDER BY c.pos LIMIT 1000) AS r \
     UNION ALL SELECT 1::smallint, p.event_nid, r.event_nid, '', 0::bigint, false \
     FROM parents p CROSS JOIN LATERAL ( \
     SELECT c.event_nid FROM events c WHERE c.relates_to = p.event_id \
     AND c.rel_type = 'm.replace' AND c.sender_nid = p.sender_nid AND c.type_nid = p.type_nid \
     AND c.slot_nid IS NULL AND ",
    counts!("c"),
    "ORDER BY c.origin_server_ts DESC, c.event_id COLLATE \"C\" DESC LIMIT 1) AS r \
     WHERE p.redacted_by IS NULL AND p.rel_type IS DISTINCT FROM 'm.replace' \
     UNION ALL SELECT 2::smallint, p.event_nid, l.event_nid, '', r.replies, \
     r.own OR p.sender_nid = $9 \
     FROM parents p CROSS JOIN LATERAL ( \
     SELECT count(*) AS replies, max(t.pos) AS last, bool_or(t.sender_nid = $9) AS own FROM ( \
     SELECT c.pos, c.sender_nid FROM events c WHERE c.relates_to = p.event_id \
     AND c.rel_type = 'm.thread' AND ",
    counts!("c"),
    "ORDER BY c.pos DESC LIMIT 10000) AS t) AS r \
     JOIN events l ON l.shard = $1 AND l.pos = r.last \
     WHERE p.rel_type IS NULL"
);

// $3: where to begin; $10: only with the beholder; $11: how many; $12: how many replies to look at.
const THREADS: &str = concat!(
    "WITH looked AS MATERIALIZED ( \
     SELECT c.pos, c.relates_to, c.event_nid FROM events c WHERE c.shard = $1 AND c.room_nid = $2 \
     AND c.rel_type = 'm.thread' AND c.pos <= $3 ORDER BY c.pos DESC LIMIT $12), \
     found AS (SELECT c.pos, p.event_nid FROM looked l \
     JOIN events c ON c.shard = $1 AND c.event_nid = l.event_nid \
     JOIN events p ON p.shard = $1 AND p.event_id = l.relates_to AND p.room_nid = $2 \
     WHERE ",
    counts!("c"),
    "AND p.pos IS NOT NULL AND p.slot_nid IS NULL AND p.rel_type IS NULL \
     AND NOT EXISTS (SELECT 1 FROM events n WHERE n.relates_to = l.relates_to \
     AND n.rel_type = 'm.thread' AND n.pos > c.pos AND ",
    counts!("n"),
    ") AND (NOT $10 OR p.sender_nid = $9 \
     OR EXISTS (SELECT 1 FROM events o WHERE o.relates_to = l.relates_to \
     AND o.rel_type = 'm.thread' AND o.sender_nid = $9 AND ",
    counts!("o"),
    ")) ORDER BY c.pos DESC LIMIT $11) \
     SELECT f.pos, f.event_nid FROM found f \
     UNION ALL SELECT min(l.pos), NULL FROM looked l HAVING count(*) >= $12 \
     ORDER BY 1 DESC"
);

const ANNOTATIONS: &str = "SELECT e.event_nid, e.content FROM events e \
    WHERE e.shard = $1 AND e.room_nid = $2 AND e.relates_to = $3 AND e.rel_type = 'm.annotation' \
    AND e.sender_nid = $4 AND e.type_nid = $5 LIMIT 1000";
// Up the relations, at most three (client-server API, "Threaded read receipts"), until one says
// `m.thread`.
const THREAD_OF: &str = "WITH RECURSIVE up (hops, relates_to, rel_type) AS ( \
    SELECT 0, relates_to, rel_type FROM events \
    WHERE shard = $1 AND room_nid = $2 AND event_id = $3 \
    UNION ALL \
    SELECT up.hops + 1, e.relates_to, e.rel_type FROM up \
    JOIN events e ON e.shard = $1 AND e.room_nid = $2 AND e.event_id = up.relates_to \
    WHERE up.hops < 3 AND up.rel_type IS DISTINCT FROM 'm.thread') \
    SELECT relates_to FROM up WHERE rel_type = 'm.thread'";

/// Every statement of this module.
pub(crate) const STATEMENTS: &[&str] = &[
    ANNOTATIONS,
    LATEST,
    EARLIEST,
    LATEST_DEEP,
    EARLIEST_DEEP,
    AGGREGATES,
    THREADS,
    THREAD_OF,
];

/// The annotations of one type that a user has put on an event, with their contents, in no order; not
/// those that were redacted.
///
/// # Errors
/// As [`Connection::query`].
pub async fn annotations(
    connection: &Connection,
    (shard, room): (Shard, RoomNid),
    parent: &str,
    (sender, event_type): (UserNid, TypeNid),
) -> Result<Vec<(EventNid, Vec<u8>)>, StorageError> {
    let params = [
        (&shard.number() as _, Type::INT2),
        (&room.0 as _, Type::INT8),
        (&parent as _, Type::TEXT),
        (&sender.0 as _, Type::INT8),
        (&event_type.0 as _, Type::INT8),
    ];
    let rows = connection.query(ANNOTATIONS, &params).await?;
    rows.iter()
        .map(|row| Ok((EventNid(row.try_get(0)?), row.try_get(1)?)))
        .collect()
}

/// The last children of an event within a range, at most `limit`, the newest first.
///
/// # Errors
/// As [`Connection::query`].
pub async fn latest(
    connection: &Connection,
    (shard, room): (Shard, RoomNid),
    related: Related<'_>,
    range: Range,
    limit: i64,
) -> Result<Vec<EventRecord>, StorageError> {
    let sql = if related.deep { LATEST_DEEP } else { LATEST };
    children(connection, sql, (shard, room), related, (range, limit)).await
}

/// The first children of an event within a range, at most `limit`, the oldest first.
///
/// # Errors
/// As [`Connection::query`].
pub async fn earliest(
    connection: &Connection,
    (shard, room): (Shard, RoomNid),
    related: Related<'_>,
    range: Range,
    limit: i64,
) -> Result<Vec<EventRecord>, StorageError> {
    let sql = if related.deep {
        EARLIEST_DEEP
    } else {
        EARLIEST
    };
    children(connection, sql, (shard, room), related, (range, limit)).await
}

async fn children(
    connection: &Connection,
    sql: &str,
    (shard, room): (Shard, RoomNid),
    related: Related<'_>,
    (range, limit): (Range, i64),
) -> Result<Vec<EventRecord>, StorageError> {
    let params = [
        (&shard.number() as _, Type::INT2),
        (&room.0 as _, Type::INT8),
        (&related.parent as _, Type::TEXT),
        (&related.rel_type as _, Type::TEXT),
        (&related.event_type as _, Type::TEXT),
        (&range.after as _, Type::INT8),
        (&range.up_to as _, Type::INT8),
        (&limit as _, Type::INT8),
    ];
    decode_events(&connection.query(sql, &params).await?)
}

/// What is to be told of the children of some events of a room, by parent. State events have none.
///
/// # Errors
/// As [`Connection::query`].
pub async fn aggregates(
    connection: &Connection,
    (shard, room): (Shard, RoomNid),
    parents: &[EventNid],
    beholder: &Beholder<'_>,
) -> Result<Vec<(EventNid, Aggregate)>, StorageError> {
    let parents: Vec<i64> = parents.iter().map(|nid| nid.0).collect();
    let params: [(&(dyn ToSql + Sync), Type); 9] = [
        (&shard.number(), Type::INT2),
        (&room.0, Type::INT8),
        (&parents, Type::INT8_ARRAY),
        (&beholder.up_to, Type::INT8),
        (&beholder.sight.joined, Type::TEXT),
        (&beholder.sight.invited, Type::TEXT),
        (&beholder.sight.shared, Type::TEXT),
        (&beholder.ignored, Type::TEXT_ARRAY),
        (&beholder.user_nid.0, Type::INT8),
    ];
    let rows = connection.query(AGGREGATES, &params).await?;
    rows.iter().map(decode_aggregate).collect()
}

fn decode_aggregate(row: &Row) -> Result<(EventNid, Aggregate), StorageError> {
    let kind: i16 = row.try_get(0)?;
    let parent = EventNid(row.try_get(1)?);
    let child = EventNid(row.try_get(2)?);
    let aggregate = match kind {
        0 => Aggregate::Reference(row.try_get(3)?),
        1 => Aggregate::Replace(child),
        _ => Aggregate::Thread {
            latest: child,
            count: row.try_get(4)?,
            participated: row.try_get(5)?,
        },
    };
    Ok((parent, aggregate))
}

/// The threads of a room whose newest reply lies at or below `from`, the newest first.
///
/// # Errors
/// As [`Connection::query`].
pub async fn threads(
    connection: &Connection,
    (shard, room): (Shard, RoomNid),
    beholder: &Beholder<'_>,
    (from, limit): (Position, i64),
    only_participated: bool,
) -> Result<Threads, StorageError> {
    let params: [(&(dyn ToSql + Sync), Type); 12] = [
        (&shard.number(), Type::INT2),
        (&room.0, Type::INT8),
        (&from, Type::INT8),
        (&beholder.up_to, Type::INT8),
        (&beholder.sight.joined, Type::TEXT),
        (&beholder.sight.invited, Type::TEXT),
        (&beholder.sight.shared, Type::TEXT),
        (&beholder.ignored, Type::TEXT_ARRAY),
        (&beholder.user_nid.0, Type::INT8),
        (&only_participated, Type::BOOL),
        (&limit, Type::INT8),
        (&MOST_REPLIES, Type::INT8),
    ];
    let mut threads = Threads::default();
    for row in connection.query(THREADS, &params).await? {
        let pos = row.try_get(0)?;
        match row.try_get::<_, Option<i64>>(1)? {
            Some(root) => threads.found.push((pos, EventNid(root))),
            None => threads.looked_down_to = Some(pos),
        }
    }
    Ok(threads)
}

/// The root of the thread that an event is in; `None` for one of the main timeline.
///
/// # Errors
/// As [`Connection::query`].
pub async fn thread_of(
    connection: &Connection,
    (shard, room): (Shard, RoomNid),
    event_id: &str,
) -> Result<Option<String>, StorageError> {
    let params = [
        (&shard.number() as _, Type::INT2),
        (&room.0 as _, Type::INT8),
        (&event_id as _, Type::TEXT),
    ];
    let row = connection.query_opt(THREAD_OF, &params).await?;
    row.map(|row| Ok(row.try_get(0)?)).transpose()
}
