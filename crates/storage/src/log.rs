//! The shard logs as readers get them: the union of the typed tables by position, for whatever the
//! streams do not have (any more).

use std::collections::HashMap;

use bytes::Bytes;
use ganglion_model::{Position, Shard, ShardFamily};
use ganglion_proto::log;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::connection::{Connection, Param};
use crate::error::StorageError;
use crate::receipts::ReceiptKind;
use crate::timeline::Range;

/// The kinds of entries (proto/ganglion/log/v1/log.proto).
pub mod kind {
    /// A live event.
    pub const EVENT: u32 = 1;
    /// A user has read up to an event.
    pub const RECEIPT: u32 = 2;
    /// The state of a room was replaced.
    pub const STATE_REPLACED: u32 = 3;
    /// A room's state became complete.
    pub const FULLY_STATED: u32 = 4;
    /// Account data was set.
    pub const ACCOUNT_DATA: u32 = 5;
    /// Access tokens ended.
    pub const TOKEN_REVOCATION: u32 = 6;
    /// A user has forgotten a room.
    pub const ROOM_FORGOTTEN: u32 = 20;
}

/// A committed batch: which positions it took, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchRecord {
    /// Its first position.
    pub first: Position,
    /// Its last position.
    pub last: Position,
    /// Milliseconds since the epoch.
    pub at_ms: i64,
}

const BATCHES: &str = "SELECT first_pos, last_pos, at FROM batches \
    WHERE shard = $1 AND first_pos > $2 AND first_pos <= $3 ORDER BY first_pos LIMIT $4";
const EVENTS: &str = "SELECT e.pos, e.room_nid, r.room_id, e.event_nid, e.event_id, e.depth, \
    e.origin_server_ts, e.sender_nid, u.user_id, t.type, s.state_key, e.slot_nid, e.target_nid, \
    e.membership, m.previous, e.visibility, e.flags, e.snapshot_before, e.snapshot_after, \
    e.txn_device, e.txn_id, e.content, r.version, \
    CASE WHEN t.type = 'm.room.redaction' THEN e.envelope END, e.thread \
    FROM events e \
    JOIN rooms r ON r.room_nid = e.room_nid \
    JOIN users u ON u.user_nid = e.sender_nid \
    JOIN event_types t ON t.type_nid = e.type_nid \
    LEFT JOIN state_slots s ON s.slot_nid = e.slot_nid \
    LEFT JOIN user_memberships m ON m.shard = e.shard AND m.user_nid = e.target_nid \
    AND m.room_nid = e.room_nid AND m.pos = e.pos \
    WHERE e.shard = $1 AND e.pos > $2 AND e.pos <= $3 ORDER BY e.pos";
const REDACTED: &str = "SELECT event_id, event_nid, redacted_by FROM events \
    WHERE shard = $1 AND event_id = ANY($2) AND redacted_by IS NOT NULL";
const ROOM_CHANGES: &str = "SELECT c.pos, c.kind, c.room_nid, r.room_id, c.snapshot_after \
    FROM room_changes c JOIN rooms r ON r.room_nid = c.room_nid \
    WHERE c.shard = $1 AND c.pos > $2 AND c.pos <= $3";
const RECEIPTS: &str = "SELECT c.pos, c.room_nid, c.user_nid, u.user_id, c.kind, c.thread, \
    c.event_id, c.event_pos, c.at, c.crowded \
    FROM receipts c JOIN users u ON u.user_nid = c.user_nid \
    WHERE c.shard = $1 AND c.pos > $2 AND c.pos <= $3";
const ACCOUNT_DATA: &str = "SELECT pos, user_nid, room_nid, type, content FROM account_data \
    WHERE shard = $1 AND pos > $2 AND pos <= $3";
const REVOCATIONS: &str = "SELECT pos, user_nid, device_id FROM token_revocations \
    WHERE shard = $1 AND pos > $2 AND pos <= $3";
const FORGOTTEN: &str = "SELECT pos, user_nid, room_nid, up_to FROM forgotten_rooms \
    WHERE shard = $1 AND pos > $2 AND pos <= $3";

/// Every statement of this module.
pub(crate) const STATEMENTS: &[&str] = &[
    BATCHES,
    EVENTS,
    REDACTED,
    ROOM_CHANGES,
    RECEIPTS,
    ACCOUNT_DATA,
    REVOCATIONS,
    FORGOTTEN,
];

/// The first batches that begin within a range, at most `limit`, in order. If there are `limit` of
/// them, there may be more behind the last one.
///
/// # Errors
/// As [`Connection::query`].
pub async fn batches(
    connection: &Connection,
    shard: Shard,
    range: Range,
    limit: i64,
) -> Result<Vec<BatchRecord>, StorageError> {
    let params = [
        (&shard.number() as _, Type::INT2),
        (&range.after as _, Type::INT8),
        (&range.up_to as _, Type::INT8),
        (&limit as _, Type::INT8),
    ];
    let rows = connection.query(BATCHES, &params).await?;
    rows.iter()
        .map(|row| {
            Ok(BatchRecord {
                first: row.try_get(0)?,
                last: row.try_get(1)?,
                at_ms: row.try_get(2)?,
            })
        })
        .collect()
}

/// The entries of a shard's log within a range, in order. A position without an entry is void.
///
/// Entries show the events as they are now: one that was redacted since is redacted.
///
/// # Errors
/// As [`Connection::query`].
pub async fn entries(
    connection: &Connection,
    shard: Shard,
    range: Range,
) -> Result<Vec<log::Entry>, StorageError> {
    let number = shard.number();
    let params: [Param<'_>; 3] = [
        (&number, Type::INT2),
        (&range.after, Type::INT8),
        (&range.up_to, Type::INT8),
    ];
    let mut entries = match shard.family() {
        ShardFamily::Room => {
            let (events, changes, receipts) = futures_util::try_join!(
                connection.query(EVENTS, &params),
                connection.query(ROOM_CHANGES, &params),
                connection.query(RECEIPTS, &params)
            )?;
            let mut entries = event_entries(connection, shard, &events).await?;
            for row in &changes {
                entries.push(room_change(row)?);
            }
            for row in &receipts {
                entries.push(receipt(row)?);
            }
            entries
        }
        ShardFamily::User => {
            let (data, revocations, forgotten_rooms) = futures_util::try_join!(
                connection.query(ACCOUNT_DATA, &params),
                connection.query(REVOCATIONS, &params),
                connection.query(FORGOTTEN, &params)
            )?;
            let data = data.iter().map(account_data);
            data.chain(revocations.iter().map(revocation))
                .chain(forgotten_rooms.iter().map(forgotten))
                .collect::<Result<_, _>>()?
        }
        // It says how far another log was read, and nothing else.
        ShardFamily::Push => Vec::new(),
    };
    entries.sort_by_key(|entry| entry.pos);
    Ok(entries)
}

async fn event_entries(
    connection: &Connection,
    shard: Shard,
    rows: &[Row],
) -> Result<Vec<log::Entry>, StorageError> {
    let mut events = rows.iter().map(event).collect::<Result<Vec<_>, _>>()?;
    let targets: Vec<&str> = events.iter().filter_map(|e| e.redacts.as_deref()).collect();
    if !targets.is_empty() {
        let params = [
            (&shard.number() as _, Type::INT2),
            (&targets as _, Type::TEXT_ARRAY),
        ];
        let mut redacted: HashMap<String, (i64, i64)> = HashMap::new();
        for row in connection.query(REDACTED, &params).await? {
            redacted.insert(row.try_get(0)?, (row.try_get(1)?, row.try_get(2)?));
        }
        for event in &mut events {
            let target = event.redacts.as_ref().and_then(|id| redacted.get(id));
            let nid = event.event.event_nid;
            event.event.redacts_nid = target
                .filter(|(_, by)| *by == nid)
                .map(|(target, _)| *target);
        }
    }
    Ok(events
        .into_iter()
        .map(|event| entry(event.pos, kind::EVENT, &event.event))
        .collect())
}

struct EventAt {
    pos: Position,
    event: log::Event,
    /// The event that a redaction names, wherever its room version has the name.
    redacts: Option<String>,
}

fn event(row: &Row) -> Result<EventAt, StorageError> {
    let content: Vec<u8> = row.try_get(21)?;
    let envelope: Option<Vec<u8>> = row.try_get(23)?;
    let top_level = envelope.as_deref().and_then(redacts);
    let named = match &envelope {
        Some(_) => top_level.clone().or_else(|| redacts(&content)),
        None => None,
    };
    let event = log::Event {
        room_nid: row.try_get(1)?,
        room_id: row.try_get(2)?,
        event_nid: row.try_get(3)?,
        event_id: row.try_get(4)?,
        depth: row.try_get(5)?,
        origin_server_ts: row.try_get(6)?,
        sender_nid: row.try_get(7)?,
        sender: row.try_get(8)?,
        r#type: row.try_get(9)?,
        state_key: row.try_get(10)?,
        slot_nid: row.try_get(11)?,
        target_nid: row.try_get(12)?,
        membership: row.try_get::<_, Option<i16>>(13)?.map(i32::from),
        previous_membership: row.try_get::<_, Option<i16>>(14)?.map(i32::from),
        visibility: i32::from(row.try_get::<_, i16>(15)?),
        flags: row.try_get(16)?,
        snapshot_before: row.try_get(17)?,
        snapshot_after: row.try_get(18)?,
        redacts_nid: None,
        redacts: top_level,
        txn_device: row.try_get(19)?,
        txn_id: row.try_get(20)?,
        content: Bytes::from(content),
        room_version: row.try_get(22)?,
        thread: row.try_get(24)?,
    };
    Ok(EventAt {
        pos: row.try_get(0)?,
        event,
        redacts: named,
    })
}

fn redacts(object: &[u8]) -> Option<String> {
    let value: serde_json::Value = serde_json::from_slice(object).ok()?;
    value.get("redacts")?.as_str().map(str::to_owned)
}

fn room_change(row: &Row) -> Result<log::Entry, StorageError> {
    let number: i16 = row.try_get(1)?;
    let kind = u32::try_from(number)
        .map_err(|_negative| StorageError::inconsistent(format!("room_changes.kind {number}")))?;
    let change = log::RoomChange {
        room_nid: row.try_get(2)?,
        room_id: row.try_get(3)?,
        snapshot_after: row.try_get(4)?,
    };
    Ok(entry(row.try_get(0)?, kind, &change))
}

fn receipt(row: &Row) -> Result<log::Entry, StorageError> {
    let thread: String = row.try_get(5)?;
    let receipt = log::Receipt {
        room_nid: row.try_get(1)?,
        user_nid: row.try_get(2)?,
        user_id: row.try_get(3)?,
        kind: ReceiptKind::decode(row.try_get(4)?)?.number(),
        thread_id: Some(thread).filter(|thread| !thread.is_empty()),
        event_id: row.try_get(6)?,
        event_pos: row.try_get(7)?,
        ts: row.try_get(8)?,
        crowded: row.try_get(9)?,
    };
    Ok(entry(row.try_get(0)?, kind::RECEIPT, &receipt))
}

fn account_data(row: &Row) -> Result<log::Entry, StorageError> {
    let data = log::AccountData {
        user_nid: row.try_get(1)?,
        room_nid: row.try_get(2)?,
        r#type: row.try_get(3)?,
        content: Bytes::from(row.try_get::<_, Vec<u8>>(4)?),
    };
    Ok(entry(row.try_get(0)?, kind::ACCOUNT_DATA, &data))
}

fn revocation(row: &Row) -> Result<log::Entry, StorageError> {
    let revocation = log::TokenRevocation {
        user_nid: row.try_get(1)?,
        device_id: row.try_get(2)?,
    };
    Ok(entry(row.try_get(0)?, kind::TOKEN_REVOCATION, &revocation))
}

fn forgotten(row: &Row) -> Result<log::Entry, StorageError> {
    let forgotten = log::RoomForgotten {
        user_nid: row.try_get(1)?,
        room_nid: row.try_get(2)?,
        up_to: row.try_get(3)?,
    };
    Ok(entry(row.try_get(0)?, kind::ROOM_FORGOTTEN, &forgotten))
}

fn entry(pos: Position, kind: u32, payload: &impl prost::Message) -> log::Entry {
    log::Entry {
        pos,
        kind,
        payload: Bytes::from(payload.encode_to_vec()),
    }
}
