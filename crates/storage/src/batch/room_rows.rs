//! The rows of room shards.

use std::collections::BTreeMap;

use ganglion_model::{
    Counts, EventNid, HistoryVisibility, Membership, Position, RoomNid, Shard, SlotNid,
    SnapshotNid, TypeNid, UserNid,
};
use tokio_postgres::types::Type;

use super::Pipeline;
use crate::receipts::ReceiptKey;

/// What an event is to its room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum EventStatus {
    /// In the log; clients see it.
    Live = 0,
    /// Known, but not part of the room's timeline.
    Outlier = 1,
    /// Refused by the authorisation rules at its place.
    Rejected = 2,
    /// Allowed at its place, refused against the current state.
    SoftFailed = 3,
    /// History from before we joined.
    Backfilled = 4,
}

/// One new event.
#[derive(Debug, Clone)]
#[expect(
    missing_docs,
    reason = "the columns are described in migrations/0003_room_logs.sql"
)]
pub struct EventRow {
    pub event_nid: EventNid,
    pub room_nid: RoomNid,
    pub event_id: String,
    pub pos: Option<Position>,
    pub status: EventStatus,
    pub depth: i64,
    pub origin_server_ts: i64,
    pub sender_nid: UserNid,
    pub type_nid: TypeNid,
    pub slot_nid: Option<SlotNid>,
    pub target_nid: Option<UserNid>,
    pub membership: Option<Membership>,
    pub relates_to: Option<String>,
    pub rel_type: Option<String>,
    pub visibility: HistoryVisibility,
    pub flags: i32,
    pub snapshot_before: SnapshotNid,
    pub snapshot_after: SnapshotNid,
    /// `None` for "this event alone".
    pub extremities: Option<Vec<EventNid>>,
    pub txn_device: Option<String>,
    pub txn_id: Option<String>,
    pub content: Vec<u8>,
    pub envelope: Vec<u8>,
    /// Where it stands in the counts; of live events.
    pub tally: Tally,
}

/// An event's thread, and the running counts up to and with it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// The thread's root; `None` for the main timeline.
    pub thread: Option<String>,
    /// Of all of the room.
    pub room: Counts,
    /// Of the main timeline.
    pub main: Counts,
    /// Of the event's thread.
    pub in_thread: Counts,
}

/// A redaction that takes effect: the event's new form.
#[derive(Debug, Clone)]
pub struct RedactionRow {
    /// The redacted event.
    pub event_nid: EventNid,
    /// The redaction.
    pub redacted_by: EventNid,
    /// What is left of its content.
    pub content: Vec<u8>,
    /// What is left of its envelope.
    pub envelope: Vec<u8>,
}

/// A change of a room that no event shows.
#[derive(Debug, Clone)]
pub struct RoomChangeRow {
    /// Its position.
    pub pos: Position,
    /// The room.
    pub room_nid: RoomNid,
    /// 3 StateReplaced, 4 FullyStated.
    pub kind: i16,
    /// The room's state after it.
    pub snapshot_after: SnapshotNid,
    /// The room's forward extremities after it.
    pub extremities: Vec<EventNid>,
}

/// A stored state.
#[derive(Debug, Clone)]
#[expect(
    missing_docs,
    reason = "the columns are described in migrations/0003_room_logs.sql"
)]
pub struct SnapshotRow {
    pub snapshot_nid: SnapshotNid,
    pub room_nid: RoomNid,
    pub level: i16,
    pub parent_nid: Option<SnapshotNid>,
    pub length: i32,
    pub hash: [u8; 16],
    pub entries: Vec<u8>,
}

/// A slot of a room's current state; `event` is `None` if the slot is now empty.
#[derive(Debug, Clone)]
pub struct CurrentStateRow {
    /// The room.
    pub room_nid: RoomNid,
    /// The slot; at most once per room and batch.
    pub slot_nid: SlotNid,
    /// The event in it, and the membership if it is a member event.
    pub event: Option<(EventNid, Option<Membership>)>,
}

/// A change of someone's membership.
#[derive(Debug, Clone)]
pub struct MembershipRow {
    /// Whose.
    pub user_nid: UserNid,
    /// Where.
    pub room_nid: RoomNid,
    /// The position of the event, or of the room change, that made it.
    pub pos: Position,
    /// What it is now.
    pub membership: Membership,
    /// What it was, if there was a member event before.
    pub previous: Option<Membership>,
    /// The member event.
    pub event_nid: EventNid,
    /// Its sender.
    pub sender_nid: UserNid,
}

/// All rows of a batch that belong to rooms.
#[derive(Debug, Default)]
pub struct RoomRows {
    /// New events.
    pub events: Vec<EventRow>,
    /// Redactions of events, of this batch or older.
    pub redactions: Vec<RedactionRow>,
    /// Room changes.
    pub room_changes: Vec<RoomChangeRow>,
    /// New snapshots.
    pub snapshots: Vec<SnapshotRow>,
    /// The last word of the batch on each slot it changed.
    pub current_state: Vec<CurrentStateRow>,
    /// Membership changes.
    pub memberships: Vec<MembershipRow>,
    /// Aliases taken: alias, room, creator, time.
    pub new_aliases: Vec<(String, RoomNid, UserNid, i64)>,
    /// Aliases given up.
    pub gone_aliases: Vec<String>,
    /// Rooms that enter the public directory, or leave it (false).
    pub published: BTreeMap<RoomNid, bool>,
    /// Rooms that are replaced.
    pub replaced: Vec<ReplacedRow>,
    /// The newest receipt of each that moved.
    pub receipts: BTreeMap<ReceiptKey, ReceiptRow>,
    /// Where push rules of users say something else than the default ones.
    pub exceptions: Vec<ExceptionRow>,
    /// Users who come into rooms or are asked to: if the account of one is deactivated, the batch is
    /// refused.
    pub entrants: Vec<String>,
}

/// Where a user's own push rules say something else about an event than the default ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExceptionRow {
    /// The room's shard: that of the event.
    pub shard: Shard,
    /// The user.
    pub user_nid: UserNid,
    /// The room.
    pub room_nid: RoomNid,
    /// The event's position.
    pub pos: Position,
    /// The event's thread.
    pub thread: Option<String>,
    /// By how much the user's counts differ.
    pub difference: Counts,
}

/// What a read receipt says, beside whose it is.
#[derive(Debug, Clone)]
pub struct ReceiptRow {
    /// Its position.
    pub pos: Position,
    /// The event that is read.
    pub event_id: String,
    /// The event's position.
    pub event_pos: Position,
    /// Milliseconds since the epoch.
    pub at_ms: i64,
    /// The room has so many members that others need not hear of it at once.
    pub crowded: bool,
}

/// A room whose aliases and place in the public directory go to its replacement; carried out after
/// all other changes of these.
#[derive(Debug, Clone)]
pub struct ReplacedRow {
    /// The room, of the batch's shard.
    pub room_nid: RoomNid,
    /// The replacement.
    pub by: RoomNid,
    /// The replacement's shard.
    pub by_shard: Shard,
}

/// Event numbers as the database holds them: 8 bytes each, big endian.
#[must_use]
pub fn packed_extremities(events: &[EventNid]) -> Vec<u8> {
    events.iter().flat_map(|nid| nid.0.to_be_bytes()).collect()
}

/// The reverse of [`packed_extremities`]; a tail that is no whole number is left out.
#[must_use]
pub fn unpacked_extremities(bytes: &[u8]) -> Vec<EventNid> {
    bytes
        .chunks_exact(8)
        .filter_map(|chunk| chunk.try_into().ok().map(i64::from_be_bytes).map(EventNid))
        .collect()
}

// A deactivation changes the row, so it waits for this batch, or this batch for it. The name of who is
// deactivated is no number: everything pipelined behind the statement fails with it.
const HOLD_ENTRANTS: &str = "SELECT count(gone::integer) FROM \
    (SELECT CASE WHEN a.deactivated_at IS NOT NULL THEN 'deactivated: ' || u.user_id END AS gone \
    FROM users u JOIN accounts a ON a.user_nid = u.user_nid WHERE u.user_id = ANY($1) \
    ORDER BY a.user_nid FOR SHARE OF a) AS held";
const ADD_EVENTS: &str = "INSERT INTO events (shard, event_nid, room_nid, event_id, pos, status, \
    depth, origin_server_ts, sender_nid, type_nid, slot_nid, target_nid, membership, relates_to, \
    rel_type, visibility, flags, snapshot_before, snapshot_after, extremities, txn_device, \
    txn_id, content, envelope, thread, room_notifies, room_highlights, main_notifies, \
    main_highlights, thread_notifies, thread_highlights) \
    SELECT $1, e.* FROM unnest($2::bigint[], $3::bigint[], $4::text[], $5::bigint[], \
    $6::smallint[], $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], \
    $12::bigint[], $13::smallint[], $14::text[], $15::text[], $16::smallint[], $17::int[], \
    $18::bigint[], $19::bigint[], $20::bytea[], $21::text[], $22::text[], $23::bytea[], \
    $24::bytea[], $25::text[], $26::bigint[], $27::bigint[], $28::bigint[], $29::bigint[], \
    $30::bigint[], $31::bigint[]) AS e";
const REDACT: &str = "UPDATE events SET redacted_by = r.redacted_by, content = r.content, \
    envelope = r.envelope, relates_to = NULL, rel_type = NULL \
    FROM unnest($2::bigint[], $3::bigint[], $4::bytea[], $5::bytea[]) \
    AS r (event_nid, redacted_by, content, envelope) \
    WHERE events.shard = $1 AND events.event_nid = r.event_nid";
const ADD_ROOM_CHANGES: &str = "INSERT INTO room_changes (shard, pos, room_nid, kind, \
    snapshot_after, extremities) \
    SELECT $1, c.* FROM unnest($2::bigint[], $3::bigint[], $4::smallint[], $5::bigint[], \
    $6::bytea[]) AS c";
const ADD_SNAPSHOTS: &str = "INSERT INTO snapshots (shard, snapshot_nid, room_nid, level, \
    parent_nid, length, hash, entries) \
    SELECT $1, s.* FROM unnest($2::bigint[], $3::bigint[], $4::smallint[], $5::bigint[], \
    $6::int[], $7::bytea[], $8::bytea[]) AS s";
const SET_STATE: &str = "INSERT INTO current_state (shard, room_nid, slot_nid, event_nid, \
    membership) \
    SELECT $1, s.* FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::smallint[]) AS s \
    ON CONFLICT (shard, room_nid, slot_nid) DO UPDATE SET event_nid = excluded.event_nid, \
    membership = excluded.membership";
const CLEAR_STATE: &str = "DELETE FROM current_state c \
    USING unnest($2::bigint[], $3::bigint[]) AS s (room_nid, slot_nid) \
    WHERE c.shard = $1 AND c.room_nid = s.room_nid AND c.slot_nid = s.slot_nid";
const ADD_MEMBERSHIPS: &str = "INSERT INTO user_memberships (shard, user_nid, room_nid, pos, \
    membership, previous, event_nid, sender_nid) \
    SELECT $1, m.* FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::smallint[], \
    $6::smallint[], $7::bigint[], $8::bigint[]) AS m";
const ADD_ALIASES: &str = "INSERT INTO room_aliases (shard, alias, room_nid, creator_nid, \
    created_at) SELECT $1, a.* FROM unnest($2::text[], $3::bigint[], $4::bigint[], $5::bigint[]) \
    AS a";
const REMOVE_ALIASES: &str = "DELETE FROM room_aliases WHERE shard = $1 AND alias = ANY($2)";
const ADD_PUBLIC: &str = "INSERT INTO public_rooms (shard, room_nid) \
    SELECT $1, p.* FROM unnest($2::bigint[]) AS p ON CONFLICT DO NOTHING";
const REMOVE_PUBLIC: &str = "DELETE FROM public_rooms WHERE shard = $1 AND room_nid = ANY($2)";
const MOVE_ALIASES: &str = "UPDATE room_aliases a SET shard = m.by_shard, room_nid = m.by \
    FROM unnest($2::bigint[], $3::bigint[], $4::smallint[]) AS m (room_nid, by, by_shard) \
    WHERE a.shard = $1 AND a.room_nid = m.room_nid";
const MOVE_PUBLIC: &str = "WITH gone AS ( \
    DELETE FROM public_rooms p \
    USING unnest($2::bigint[], $3::bigint[], $4::smallint[]) AS m (room_nid, by, by_shard) \
    WHERE p.shard = $1 AND p.room_nid = m.room_nid RETURNING m.by, m.by_shard) \
    INSERT INTO public_rooms (room_nid, shard) SELECT by, by_shard FROM gone \
    ON CONFLICT DO NOTHING";

const ADD_EXCEPTIONS: &str = "INSERT INTO notification_exceptions (shard, user_nid, room_nid, pos, \
    thread, notify, highlight) \
    SELECT e.* FROM unnest($1::smallint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::text[], \
    $6::bigint[], $7::bigint[]) AS e";
const SET_RECEIPTS: &str = "INSERT INTO receipts (shard, room_nid, user_nid, kind, thread, \
    event_id, event_pos, at, crowded, pos) \
    SELECT $1, r.* FROM unnest($2::bigint[], $3::bigint[], $4::smallint[], $5::text[], \
    $6::text[], $7::bigint[], $8::bigint[], $9::boolean[], $10::bigint[]) AS r \
    ON CONFLICT (shard, room_nid, user_nid, kind, thread) DO UPDATE SET \
    event_id = excluded.event_id, event_pos = excluded.event_pos, at = excluded.at, \
    crowded = excluded.crowded, pos = excluded.pos";

/// Every statement of this module.
pub(super) const STATEMENTS: &[&str] = &[
    HOLD_ENTRANTS,
    ADD_EVENTS,
    REDACT,
    ADD_ROOM_CHANGES,
    ADD_SNAPSHOTS,
    SET_STATE,
    CLEAR_STATE,
    ADD_MEMBERSHIPS,
    ADD_ALIASES,
    REMOVE_ALIASES,
    ADD_PUBLIC,
    REMOVE_PUBLIC,
    MOVE_ALIASES,
    MOVE_PUBLIC,
    ADD_EXCEPTIONS,
    SET_RECEIPTS,
];

/// One array parameter, a field of each row.
macro_rules! column {
    ($rows:expr, $type:expr, $field:expr) => {
        (
            Box::new($rows.iter().map($field).collect::<Vec<_>>()),
            $type,
        )
    };
}

impl RoomRows {
    pub(super) fn add_to(&self, pipeline: &mut Pipeline<'_>, shard: i16) {
        if !self.entrants.is_empty() {
            pipeline.add(
                HOLD_ENTRANTS,
                vec![(Box::new(self.entrants.clone()), Type::TEXT_ARRAY)],
            );
        }
        self.add_snapshots(pipeline, shard);
        self.add_events(pipeline, shard);
        self.add_changes(pipeline, shard);
        self.add_state(pipeline, shard);
        self.add_directory(pipeline, shard);
        self.add_receipts(pipeline, shard);
        self.add_exceptions(pipeline);
    }

    fn add_exceptions(&self, pipeline: &mut Pipeline<'_>) {
        let e = &self.exceptions;
        if e.is_empty() {
            return;
        }
        pipeline.add(
            ADD_EXCEPTIONS,
            vec![
                column!(e, Type::INT2_ARRAY, |e| e.shard.number()),
                column!(e, Type::INT8_ARRAY, |e| e.user_nid.0),
                column!(e, Type::INT8_ARRAY, |e| e.room_nid.0),
                column!(e, Type::INT8_ARRAY, |e| e.pos),
                column!(e, Type::TEXT_ARRAY, |e| e.thread.clone()),
                column!(e, Type::INT8_ARRAY, |e| e.difference.notify),
                column!(e, Type::INT8_ARRAY, |e| e.difference.highlight),
            ],
        );
    }

    fn add_receipts(&self, pipeline: &mut Pipeline<'_>, shard: i16) {
        let r = &self.receipts;
        if r.is_empty() {
            return;
        }
        pipeline.add(
            SET_RECEIPTS,
            vec![
                (Box::new(shard), Type::INT2),
                column!(r, Type::INT8_ARRAY, |(key, _)| key.room_nid.0),
                column!(r, Type::INT8_ARRAY, |(key, _)| key.user_nid.0),
                column!(r, Type::INT2_ARRAY, |(key, _)| key.kind as i16),
                column!(r, Type::TEXT_ARRAY, |(key, _)| key.thread.clone()),
                column!(r, Type::TEXT_ARRAY, |(_, row)| row.event_id.clone()),
                column!(r, Type::INT8_ARRAY, |(_, row)| row.event_pos),
                column!(r, Type::INT8_ARRAY, |(_, row)| row.at_ms),
                column!(r, Type::BOOL_ARRAY, |(_, row)| row.crowded),
                column!(r, Type::INT8_ARRAY, |(_, row)| row.pos),
            ],
        );
    }

    fn add_events(&self, pipeline: &mut Pipeline<'_>, shard: i16) {
        let e = &self.events;
        if !e.is_empty() {
            pipeline.add(
                ADD_EVENTS,
                vec![
                    (Box::new(shard), Type::INT2),
                    column!(e, Type::INT8_ARRAY, |e| e.event_nid.0),
                    column!(e, Type::INT8_ARRAY, |e| e.room_nid.0),
                    column!(e, Type::TEXT_ARRAY, |e| e.event_id.clone()),
                    column!(e, Type::INT8_ARRAY, |e| e.pos),
                    column!(e, Type::INT2_ARRAY, |e| e.status as i16),
                    column!(e, Type::INT8_ARRAY, |e| e.depth),
                    column!(e, Type::INT8_ARRAY, |e| e.origin_server_ts),
                    column!(e, Type::INT8_ARRAY, |e| e.sender_nid.0),
                    column!(e, Type::INT8_ARRAY, |e| e.type_nid.0),
                    column!(e, Type::INT8_ARRAY, |e| e.slot_nid.map(|n| n.0)),
                    column!(e, Type::INT8_ARRAY, |e| e.target_nid.map(|n| n.0)),
                    column!(e, Type::INT2_ARRAY, |e| e
                        .membership
                        .map(Membership::to_i16)),
                    column!(e, Type::TEXT_ARRAY, |e| e.relates_to.clone()),
                    column!(e, Type::TEXT_ARRAY, |e| e.rel_type.clone()),
                    column!(e, Type::INT2_ARRAY, |e| e.visibility.to_i16()),
                    column!(e, Type::INT4_ARRAY, |e| e.flags),
                    column!(e, Type::INT8_ARRAY, |e| e.snapshot_before.0),
                    column!(e, Type::INT8_ARRAY, |e| e.snapshot_after.0),
                    column!(e, Type::BYTEA_ARRAY, |e| e
                        .extremities
                        .as_deref()
                        .map(packed_extremities)),
                    column!(e, Type::TEXT_ARRAY, |e| e.txn_device.clone()),
                    column!(e, Type::TEXT_ARRAY, |e| e.txn_id.clone()),
                    column!(e, Type::BYTEA_ARRAY, |e| e.content.clone()),
                    column!(e, Type::BYTEA_ARRAY, |e| e.envelope.clone()),
                    column!(e, Type::TEXT_ARRAY, |e| e.tally.thread.clone()),
                    column!(e, Type::INT8_ARRAY, |e| e.tally.room.notify),
                    column!(e, Type::INT8_ARRAY, |e| e.tally.room.highlight),
                    column!(e, Type::INT8_ARRAY, |e| e.tally.main.notify),
                    column!(e, Type::INT8_ARRAY, |e| e.tally.main.highlight),
                    column!(e, Type::INT8_ARRAY, |e| e.tally.in_thread.notify),
                    column!(e, Type::INT8_ARRAY, |e| e.tally.in_thread.highlight),
                ],
            );
        }
        let r = &self.redactions;
        if !r.is_empty() {
            pipeline.add(
                REDACT,
                vec![
                    (Box::new(shard), Type::INT2),
                    column!(r, Type::INT8_ARRAY, |r| r.event_nid.0),
                    column!(r, Type::INT8_ARRAY, |r| r.redacted_by.0),
                    column!(r, Type::BYTEA_ARRAY, |r| r.content.clone()),
                    column!(r, Type::BYTEA_ARRAY, |r| r.envelope.clone()),
                ],
            );
        }
    }

    fn add_snapshots(&self, pipeline: &mut Pipeline<'_>, shard: i16) {
        let s = &self.snapshots;
        if !s.is_empty() {
            pipeline.add(
                ADD_SNAPSHOTS,
                vec![
                    (Box::new(shard), Type::INT2),
                    column!(s, Type::INT8_ARRAY, |s| s.snapshot_nid.0),
                    column!(s, Type::INT8_ARRAY, |s| s.room_nid.0),
                    column!(s, Type::INT2_ARRAY, |s| s.level),
                    column!(s, Type::INT8_ARRAY, |s| s.parent_nid.map(|n| n.0)),
                    column!(s, Type::INT4_ARRAY, |s| s.length),
                    column!(s, Type::BYTEA_ARRAY, |s| s.hash.to_vec()),
                    column!(s, Type::BYTEA_ARRAY, |s| s.entries.clone()),
                ],
            );
        }
    }

    fn add_changes(&self, pipeline: &mut Pipeline<'_>, shard: i16) {
        let c = &self.room_changes;
        if !c.is_empty() {
            pipeline.add(
                ADD_ROOM_CHANGES,
                vec![
                    (Box::new(shard), Type::INT2),
                    column!(c, Type::INT8_ARRAY, |c| c.pos),
                    column!(c, Type::INT8_ARRAY, |c| c.room_nid.0),
                    column!(c, Type::INT2_ARRAY, |c| c.kind),
                    column!(c, Type::INT8_ARRAY, |c| c.snapshot_after.0),
                    column!(c, Type::BYTEA_ARRAY, |c| packed_extremities(&c.extremities)),
                ],
            );
        }
        let m = &self.memberships;
        if !m.is_empty() {
            pipeline.add(
                ADD_MEMBERSHIPS,
                vec![
                    (Box::new(shard), Type::INT2),
                    column!(m, Type::INT8_ARRAY, |m| m.user_nid.0),
                    column!(m, Type::INT8_ARRAY, |m| m.room_nid.0),
                    column!(m, Type::INT8_ARRAY, |m| m.pos),
                    column!(m, Type::INT2_ARRAY, |m| m.membership.to_i16()),
                    column!(m, Type::INT2_ARRAY, |m| m.previous.map(Membership::to_i16)),
                    column!(m, Type::INT8_ARRAY, |m| m.event_nid.0),
                    column!(m, Type::INT8_ARRAY, |m| m.sender_nid.0),
                ],
            );
        }
    }

    fn add_state(&self, pipeline: &mut Pipeline<'_>, shard: i16) {
        let set: Vec<_> = self
            .current_state
            .iter()
            .filter_map(|row| row.event.map(|event| (row.room_nid, row.slot_nid, event)))
            .collect();
        if !set.is_empty() {
            pipeline.add(
                SET_STATE,
                vec![
                    (Box::new(shard), Type::INT2),
                    column!(set, Type::INT8_ARRAY, |(room, _, _)| room.0),
                    column!(set, Type::INT8_ARRAY, |(_, slot, _)| slot.0),
                    column!(set, Type::INT8_ARRAY, |(_, _, (event, _))| event.0),
                    column!(set, Type::INT2_ARRAY, |(_, _, (_, m))| m
                        .map(Membership::to_i16)),
                ],
            );
        }
        let cleared: Vec<_> = self
            .current_state
            .iter()
            .filter(|row| row.event.is_none())
            .collect();
        if !cleared.is_empty() {
            pipeline.add(
                CLEAR_STATE,
                vec![
                    (Box::new(shard), Type::INT2),
                    column!(cleared, Type::INT8_ARRAY, |row| row.room_nid.0),
                    column!(cleared, Type::INT8_ARRAY, |row| row.slot_nid.0),
                ],
            );
        }
    }

    fn add_directory(&self, pipeline: &mut Pipeline<'_>, shard: i16) {
        if !self.gone_aliases.is_empty() {
            pipeline.add(
                REMOVE_ALIASES,
                vec![
                    (Box::new(shard), Type::INT2),
                    (Box::new(self.gone_aliases.clone()), Type::TEXT_ARRAY),
                ],
            );
        }
        let a = &self.new_aliases;
        if !a.is_empty() {
            pipeline.add(
                ADD_ALIASES,
                vec![
                    (Box::new(shard), Type::INT2),
                    column!(a, Type::TEXT_ARRAY, |a| a.0.clone()),
                    column!(a, Type::INT8_ARRAY, |a| a.1.0),
                    column!(a, Type::INT8_ARRAY, |a| a.2.0),
                    column!(a, Type::INT8_ARRAY, |a| a.3),
                ],
            );
        }
        for (statement, published) in [(ADD_PUBLIC, true), (REMOVE_PUBLIC, false)] {
            let rooms = self.published.iter().filter(|(_, is)| **is == published);
            let rooms: Vec<i64> = rooms.map(|(room, _)| room.0).collect();
            if !rooms.is_empty() {
                pipeline.add(
                    statement,
                    vec![
                        (Box::new(shard), Type::INT2),
                        (Box::new(rooms), Type::INT8_ARRAY),
                    ],
                );
            }
        }
        self.add_replaced(pipeline, shard);
    }

    fn add_replaced(&self, pipeline: &mut Pipeline<'_>, shard: i16) {
        let r = &self.replaced;
        if r.is_empty() {
            return;
        }
        for statement in [MOVE_ALIASES, MOVE_PUBLIC] {
            pipeline.add(
                statement,
                vec![
                    (Box::new(shard), Type::INT2),
                    column!(r, Type::INT8_ARRAY, |r| r.room_nid.0),
                    column!(r, Type::INT8_ARRAY, |r| r.by.0),
                    column!(r, Type::INT2_ARRAY, |r| r.by_shard.number()),
                ],
            );
        }
    }
}
