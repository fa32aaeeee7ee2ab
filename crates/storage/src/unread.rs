//! Running counts of notifications, and where users' own rules differ (docs/architecture.md, "Unread
//! counts").

use ganglion_model::{Counts, Membership, Position, RoomNid, Shard, UserNid};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::connection::Connection;
use crate::error::StorageError;
use crate::timeline::Range;

const OF_ROOM: &str = "SELECT room_notifies::bigint, room_highlights::bigint, \
    main_notifies::bigint, main_highlights::bigint FROM events \
    WHERE shard = $1 AND room_nid = $2 AND pos IS NOT NULL ORDER BY pos DESC LIMIT 1";
const OF_THREAD: &str = "SELECT thread_notifies::bigint, thread_highlights::bigint FROM events \
    WHERE shard = $1 AND room_nid = $2 AND thread = $3 AND pos IS NOT NULL \
    ORDER BY pos DESC LIMIT 1";
const THREAD_OF: &str = "SELECT thread FROM events \
    WHERE shard = $1 AND event_id = $3 AND room_nid = $2";
// Parameters: shard, room, user, after, up_to, where the main timeline is read up to.
const MAIN: &str = "SELECT NULL::text, n.notifies - coalesce(b.notifies, 0), \
    n.highlights - coalesce(b.highlights, 0), p.pos \
    FROM (SELECT greatest($4::bigint, $6::bigint, (SELECT o.pos FROM events o WHERE o.shard = $1 \
     AND o.room_nid = $2 AND o.sender_nid = $3 AND o.thread IS NULL AND o.pos > $4 AND o.pos <= $5 \
     ORDER BY o.pos DESC LIMIT 1)) AS pos) AS p \
    CROSS JOIN LATERAL (SELECT x.main_notifies::bigint AS notifies, \
     x.main_highlights::bigint AS highlights FROM events x WHERE x.shard = $1 \
     AND x.room_nid = $2 AND x.pos <= $5 ORDER BY x.pos DESC LIMIT 1) AS n \
    LEFT JOIN LATERAL (SELECT x.main_notifies::bigint AS notifies, \
     x.main_highlights::bigint AS highlights FROM events x WHERE x.shard = $1 \
     AND x.room_nid = $2 AND x.pos <= p.pos ORDER BY x.pos DESC LIMIT 1) AS b ON true";
// Parameters: shard, room, user, after, up_to, threads and where they are read up to.
const THREADS: &str = "SELECT t.thread, n.notifies - coalesce(b.notifies, 0), \
    n.highlights - coalesce(b.highlights, 0), p.pos \
    FROM (SELECT DISTINCT e.thread FROM events e WHERE e.shard = $1 AND e.room_nid = $2 \
     AND e.pos > $4 AND e.pos <= $5 AND e.rel_type = 'm.thread' AND e.thread IS NOT NULL) AS t \
    LEFT JOIN unnest($6::text[], $7::bigint[]) AS r (thread, pos) ON r.thread = t.thread \
    LEFT JOIN LATERAL (SELECT o.pos FROM events o WHERE o.shard = $1 AND o.room_nid = $2 \
     AND o.thread = t.thread AND o.sender_nid = $3 AND o.pos > $4 AND o.pos <= $5 \
     ORDER BY o.pos DESC LIMIT 1) AS own ON true \
    CROSS JOIN LATERAL (SELECT greatest($4::bigint, r.pos, own.pos) AS pos) AS p \
    CROSS JOIN LATERAL (SELECT x.thread_notifies::bigint AS notifies, \
     x.thread_highlights::bigint AS highlights FROM events x WHERE x.shard = $1 \
     AND x.room_nid = $2 AND x.thread = t.thread AND x.pos <= $5 \
     ORDER BY x.pos DESC LIMIT 1) AS n \
    LEFT JOIN LATERAL (SELECT x.thread_notifies::bigint AS notifies, \
     x.thread_highlights::bigint AS highlights FROM events x WHERE x.shard = $1 \
     AND x.room_nid = $2 AND x.thread = t.thread AND x.pos <= p.pos \
     ORDER BY x.pos DESC LIMIT 1) AS b ON true";
const EXCEPTIONS: &str = "SELECT e.thread, sum(e.notify)::bigint, sum(e.highlight)::bigint, \
    max(e.pos) FROM notification_exceptions e \
    LEFT JOIN unnest($6::text[], $7::bigint[]) AS r (thread, pos) \
    ON r.thread = coalesce(e.thread, '') \
    WHERE e.shard = $1 AND e.user_nid = $3 AND e.room_nid = $2 AND e.pos > $4 AND e.pos <= $5 \
    AND e.pos > coalesce(r.pos, $4) GROUP BY e.thread";

// From the users: those with rules of their own are fewer than the members of a large room.
const JOINED_WITH_RULES: &str = "SELECT a.user_nid FROM account_data a CROSS JOIN LATERAL ( \
    SELECT m.membership FROM user_memberships m WHERE m.shard = $1 AND m.user_nid = a.user_nid \
    AND m.room_nid = $2 ORDER BY m.pos DESC LIMIT 1) AS last \
    WHERE a.room_nid = 0 AND a.type = 'm.push_rules' AND last.membership = $3";

/// Every statement of this module.
pub(crate) const STATEMENTS: &[&str] = &[
    OF_ROOM,
    OF_THREAD,
    THREAD_OF,
    MAIN,
    THREADS,
    EXCEPTIONS,
    JOINED_WITH_RULES,
];

/// The running counts of a room after its last event: of all of it, and of its main timeline.
///
/// # Errors
/// As [`Connection::query`].
pub async fn counts_of_room(
    connection: &Connection,
    shard: Shard,
    room: RoomNid,
) -> Result<(Counts, Counts), StorageError> {
    let params = [
        (&shard.number() as _, Type::INT2),
        (&room.0 as _, Type::INT8),
    ];
    let row = connection.query_opt(OF_ROOM, &params).await?;
    row.map_or(Ok(Default::default()), |row| {
        Ok((counts(&row, 0)?, counts(&row, 2)?))
    })
}

/// The running counts of a thread after its last event.
///
/// # Errors
/// As [`Connection::query`].
pub async fn counts_of_thread(
    connection: &Connection,
    shard: Shard,
    room: RoomNid,
    root: &str,
) -> Result<Counts, StorageError> {
    let params = [
        (&shard.number() as _, Type::INT2),
        (&room.0 as _, Type::INT8),
        (&root as _, Type::TEXT),
    ];
    let row = connection.query_opt(OF_THREAD, &params).await?;
    row.map_or(Ok(Counts::default()), |row| counts(&row, 0))
}

/// The thread of an event, as it was found when the event came.
///
/// # Errors
/// As [`Connection::query`].
pub async fn thread_of(
    connection: &Connection,
    shard: Shard,
    room: RoomNid,
    event_id: &str,
) -> Result<Option<String>, StorageError> {
    let params = [
        (&shard.number() as _, Type::INT2),
        (&room.0 as _, Type::INT8),
        (&event_id as _, Type::TEXT),
    ];
    let row = connection.query_opt(THREAD_OF, &params).await?;
    row.map_or(Ok(None), |row| Ok(row.try_get(0)?))
}

/// A room as one user has read it.
#[derive(Debug, Clone)]
pub struct Reading {
    /// The room's shard.
    pub shard: Shard,
    /// The room.
    pub room: RoomNid,
    /// The user.
    pub user: UserNid,
    /// From what is read as a whole to where is counted.
    pub range: Range,
    /// Threads read further, and up to where; the main timeline is `""`.
    pub threads: Vec<(String, Position)>,
}

impl Reading {
    fn columns(&self) -> (Vec<&str>, Vec<Position>) {
        let threads = self.threads.iter();
        threads.map(|(root, pos)| (root.as_str(), *pos)).unzip()
    }
}

/// What is counted in a part of a room: its thread (`None`: the main timeline), and where it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartCounts {
    /// The thread's root.
    pub thread: Option<String>,
    /// The counts.
    pub counts: Counts,
    /// Up to where the user has read it, by receipt or by an own event.
    pub read_up_to: Position,
}

/// What a room's events count for under the default rules, by thread, beyond what the user has read;
/// the main timeline and every thread with a message in the range.
///
/// # Errors
/// As [`Connection::query`].
pub async fn default_counts(
    connection: &Connection,
    reading: &Reading,
) -> Result<Vec<PartCounts>, StorageError> {
    let (threads, places) = reading.columns();
    let number = reading.shard.number();
    let main = reading.threads.iter().find(|(root, _)| root.is_empty());
    let main = main.map_or(reading.range.after, |(_, pos)| *pos);
    let shared = || {
        vec![
            (&number as _, Type::INT2),
            (&reading.room.0 as _, Type::INT8),
            (&reading.user.0 as _, Type::INT8),
            (&reading.range.after as _, Type::INT8),
            (&reading.range.up_to as _, Type::INT8),
        ]
    };
    let mut of_main = shared();
    of_main.push((&main as _, Type::INT8));
    let mut of_threads = shared();
    of_threads.push((&threads as _, Type::TEXT_ARRAY));
    of_threads.push((&places as _, Type::INT8_ARRAY));
    let (main, threads) = futures_util::try_join!(
        connection.query(MAIN, &of_main),
        connection.query(THREADS, &of_threads)
    )?;
    main.iter().chain(&threads).map(part).collect()
}

/// By how much the user's own rules differ, by thread; `reading.threads` as for [`default_counts`].
///
/// # Errors
/// As [`Connection::query`].
pub async fn exceptions(
    connection: &Connection,
    reading: &Reading,
) -> Result<Vec<PartCounts>, StorageError> {
    let (threads, places) = reading.columns();
    let params = [
        (&reading.shard.number() as _, Type::INT2),
        (&reading.room.0 as _, Type::INT8),
        (&reading.user.0 as _, Type::INT8),
        (&reading.range.after as _, Type::INT8),
        (&reading.range.up_to as _, Type::INT8),
        (&threads as _, Type::TEXT_ARRAY),
        (&places as _, Type::INT8_ARRAY),
    ];
    let rows = connection.query(EXCEPTIONS, &params).await?;
    rows.iter().map(part).collect()
}

/// The users joined to a room who have push rules of their own.
///
/// # Errors
/// As [`Connection::query`].
pub async fn joined_with_own_rules(
    connection: &Connection,
    shard: Shard,
    room: RoomNid,
) -> Result<Vec<UserNid>, StorageError> {
    let params = [
        (&shard.number() as _, Type::INT2),
        (&room.0 as _, Type::INT8),
        (&Membership::Join.to_i16() as _, Type::INT2),
    ];
    let rows = connection.query(JOINED_WITH_RULES, &params).await?;
    rows.iter()
        .map(|row| Ok(UserNid(row.try_get(0)?)))
        .collect()
}

fn part(row: &Row) -> Result<PartCounts, StorageError> {
    Ok(PartCounts {
        thread: row.try_get(0)?,
        counts: counts(row, 1)?,
        read_up_to: row.try_get(3)?,
    })
}

fn counts(row: &Row, first: usize) -> Result<Counts, StorageError> {
    Ok(Counts {
        notify: row.try_get(first)?,
        highlight: row.try_get(first + 1)?,
    })
}
