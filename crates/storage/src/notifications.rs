//! Which events may have notified one user (docs/architecture.md, "Unread counts").

use ganglion_model::{Counts, EventNid, Position, RoomNid, Shard, UserNid, Verdict};
use tokio_postgres::types::Type;

use crate::connection::Connection;
use crate::error::StorageError;
use crate::timeline::Range;

// Parameters: shard; rooms and their ranges; user; up to where pusher has judged; most of each range.
macro_rules! candidates {
    ($flag:literal) => {
        concat!(
            "SELECT s.number, e.pos, e.event_nid, e.origin_server_ts, e.sender_nid, e.flags, \
             coalesce(x.notify, 0)::bigint, coalesce(x.highlight, 0)::bigint \
             FROM unnest($2::bigint[], $3::bigint[], $4::bigint[]) WITH ORDINALITY \
             AS s (room_nid, after, up_to, number) CROSS JOIN LATERAL (SELECT c.pos FROM ( \
             (SELECT l.pos FROM events l WHERE l.shard = $1 AND l.room_nid = s.room_nid \
             AND l.pos > s.after AND l.pos <= s.up_to AND l.flags & ",
            $flag,
            " <> 0 ORDER BY l.pos DESC LIMIT $7) UNION \
             (SELECT d.pos FROM notification_exceptions d WHERE d.shard = $1 AND d.user_nid = $5 \
             AND d.room_nid = s.room_nid AND d.pos > s.after AND d.pos <= s.up_to \
             AND (d.notify > 0 OR d.highlight > 0) ORDER BY d.pos DESC LIMIT $7) UNION \
             (SELECT l.pos FROM events l WHERE l.shard = $1 AND l.room_nid = s.room_nid \
             AND l.pos > greatest(s.after, $6::bigint) AND l.pos <= s.up_to \
             ORDER BY l.pos DESC LIMIT $7)) AS c ORDER BY c.pos DESC LIMIT $7) AS p \
             JOIN events e ON e.shard = $1 AND e.pos = p.pos \
             LEFT JOIN notification_exceptions x ON x.shard = $1 AND x.user_nid = $5 \
             AND x.room_nid = s.room_nid AND x.pos = p.pos ORDER BY s.number, e.pos DESC"
        )
    };
}

const NOTIFY: &str = candidates!("256");
const HIGHLIGHT: &str = candidates!("512");
// Parameters: shard; rooms, threads, and from where on; user.
const OWN: &str = "SELECT p.number, o.pos \
    FROM unnest($2::bigint[], $3::text[], $4::bigint[]) WITH ORDINALITY \
    AS p (room_nid, thread, after, number) CROSS JOIN LATERAL (SELECT e.pos FROM events e \
    WHERE e.shard = $1 AND e.room_nid = p.room_nid AND e.sender_nid = $5 AND e.pos > p.after \
    AND coalesce(e.thread, '') = p.thread ORDER BY e.pos DESC LIMIT 1) AS o";

/// Every statement of this module.
pub(crate) const STATEMENTS: &[&str] = &[NOTIFY, HIGHLIGHT, OWN];

/// An event that notifies by default, or by the user's own rules, or that nobody has judged yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// Of which of the asked stretches it is.
    pub stretch: usize,
    /// Its place in the log.
    pub pos: Position,
    /// Its number.
    pub event_nid: EventNid,
    /// Milliseconds since the epoch, by its sender.
    pub origin_server_ts: i64,
    /// Its sender.
    pub sender: UserNid,
    /// What it counts for under the default rules.
    pub default: Verdict,
    /// By how much the user's own rules differ, as far as pusher has written it.
    pub difference: Counts,
}

/// For whom candidates are asked.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    /// The user.
    pub user: UserNid,
    /// Up to where pusher has judged the shard.
    pub judged: Position,
    /// Only what may be a highlight.
    pub only_highlights: bool,
    /// The most of each stretch.
    pub limit: i64,
}

/// The last candidates of stretches of rooms' logs, in order of the stretches, the newest first.
///
/// # Errors
/// As [`Connection::query`].
pub async fn candidates(
    connection: &Connection,
    shard: Shard,
    stretches: &[(RoomNid, Range)],
    asked: Asked,
) -> Result<Vec<Candidate>, StorageError> {
    let rooms: Vec<i64> = stretches.iter().map(|(room, _)| room.0).collect();
    let after: Vec<i64> = stretches.iter().map(|(_, range)| range.after).collect();
    let up_to: Vec<i64> = stretches.iter().map(|(_, range)| range.up_to).collect();
    let params = [
        (&shard.number() as _, Type::INT2),
        (&rooms as _, Type::INT8_ARRAY),
        (&after as _, Type::INT8_ARRAY),
        (&up_to as _, Type::INT8_ARRAY),
        (&asked.user.0 as _, Type::INT8),
        (&asked.judged as _, Type::INT8),
        (&asked.limit as _, Type::INT8),
    ];
    let statement = if asked.only_highlights {
        HIGHLIGHT
    } else {
        NOTIFY
    };
    let rows = connection.query(statement, &params).await?;
    rows.iter()
        .map(|row| {
            Ok(Candidate {
                stretch: index(row.try_get(0)?)?,
                pos: row.try_get(1)?,
                event_nid: EventNid(row.try_get(2)?),
                origin_server_ts: row.try_get(3)?,
                sender: UserNid(row.try_get(4)?),
                default: Verdict::from_flags(row.try_get(5)?),
                difference: Counts {
                    notify: row.try_get(6)?,
                    highlight: row.try_get(7)?,
                },
            })
        })
        .collect()
}

/// Where the user's last own events in some parts of rooms are, if above a position.
///
/// A part is a room and the root of a thread, `""` for the main timeline; it is told by its place in
/// the list.
///
/// # Errors
/// As [`Connection::query`].
pub async fn last_own(
    connection: &Connection,
    shard: Shard,
    user: UserNid,
    parts: &[(RoomNid, &str, Position)],
) -> Result<Vec<(usize, Position)>, StorageError> {
    let rooms: Vec<i64> = parts.iter().map(|(room, ..)| room.0).collect();
    let threads: Vec<&str> = parts.iter().map(|(_, thread, _)| *thread).collect();
    let after: Vec<i64> = parts.iter().map(|(.., after)| *after).collect();
    let params = [
        (&shard.number() as _, Type::INT2),
        (&rooms as _, Type::INT8_ARRAY),
        (&threads as _, Type::TEXT_ARRAY),
        (&after as _, Type::INT8_ARRAY),
        (&user.0 as _, Type::INT8),
    ];
    let rows = connection.query(OWN, &params).await?;
    rows.iter()
        .map(|row| Ok((index(row.try_get(0)?)?, row.try_get(1)?)))
        .collect()
}

/// From an ordinal, which begins with 1.
fn index(ordinal: i64) -> Result<usize, StorageError> {
    usize::try_from(ordinal - 1)
        .map_err(|_negative| StorageError::inconsistent(format!("an ordinal of {ordinal}")))
}
