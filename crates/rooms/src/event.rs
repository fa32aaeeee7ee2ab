//! An event as the readers hold it, whether it came from the database or from the log.

use bytes::Bytes;
use ganglion_event_rules::RoomVersion;
use ganglion_model::{
    EventNid, HistoryVisibility, Membership, Position, SlotNid, SnapshotNid, UserNid, Verdict,
};
use ganglion_proto::log;
use ganglion_storage::timeline::EventRecord;
use ruma::OwnedEventId;
use serde::Deserialize;

/// An event without what depends on who looks at it.
#[derive(Debug, Clone)]
pub struct RoomEvent {
    /// Its number.
    pub nid: EventNid,
    /// Its id.
    pub event_id: String,
    /// Its place in the log; `None` if it is not part of the timeline.
    pub pos: Option<Position>,
    /// Milliseconds since the epoch, by its sender.
    pub origin_server_ts: i64,
    /// Its sender.
    pub sender: String,
    /// Its type.
    pub event_type: String,
    /// Its state key, if it is a state event.
    pub state_key: Option<String>,
    /// Its place in the state, if it is a state event.
    pub slot: Option<SlotNid>,
    /// Whose membership it sets, if it is a member event.
    pub target: Option<UserNid>,
    /// The membership it sets.
    pub membership: Option<Membership>,
    /// The room's history visibility before the event.
    pub visibility: HistoryVisibility,
    /// The room's state before the event.
    pub snapshot_before: SnapshotNid,
    /// The room's current state after the event.
    pub snapshot_after: SnapshotNid,
    /// The redaction that took its content.
    pub redacted_by: Option<EventNid>,
    /// What it redacts, if it is a redaction.
    pub redacts: Option<OwnedEventId>,
    /// The device that sent it and that device's name for it.
    pub transaction: Option<(String, String)>,
    /// The root of the thread that it belongs to; `None` for the main timeline.
    pub thread: Option<String>,
    /// What it counts for under the default push rules, to whom it does not name.
    pub verdict: Verdict,
    /// A JSON object.
    pub content: Bytes,
}

#[derive(Deserialize)]
struct Redacts {
    redacts: Option<OwnedEventId>,
}

impl RoomEvent {
    /// From the database.
    #[must_use]
    pub fn from_record(record: EventRecord, version: RoomVersion) -> Self {
        let redacts = if record.event_type == "m.room.redaction" && record.redacted_by.is_none() {
            let holder = if version.redacts_in_content() {
                &record.content
            } else {
                &record.envelope
            };
            redacts_in(holder)
        } else {
            None
        };
        Self {
            nid: record.event_nid,
            event_id: record.event_id,
            pos: record.pos,
            origin_server_ts: record.origin_server_ts,
            sender: record.sender,
            event_type: record.event_type,
            state_key: record.state_key,
            slot: record.slot_nid,
            target: record.target_nid,
            membership: record.membership,
            visibility: record.visibility,
            snapshot_before: record.snapshot_before,
            snapshot_after: record.snapshot_after,
            redacted_by: record.redacted_by,
            redacts,
            transaction: record.txn_device.zip(record.txn_id),
            thread: record.thread,
            verdict: Verdict::from_flags(record.flags),
            content: record.content,
        }
    }

    /// From a log entry.
    #[must_use]
    pub fn from_log(entry: log::Event, pos: Position) -> Self {
        let redacts = if entry.r#type == "m.room.redaction" {
            let beside = entry.redacts.and_then(|id| OwnedEventId::try_from(id).ok());
            beside.or_else(|| redacts_in(&entry.content))
        } else {
            None
        };
        let small = |number: i32| i16::try_from(number).ok();
        Self {
            nid: EventNid(entry.event_nid),
            event_id: entry.event_id,
            pos: Some(pos),
            origin_server_ts: entry.origin_server_ts,
            sender: entry.sender,
            event_type: entry.r#type,
            state_key: entry.state_key,
            slot: entry.slot_nid.map(SlotNid),
            target: entry.target_nid.map(UserNid),
            membership: entry
                .membership
                .and_then(small)
                .and_then(Membership::from_i16),
            visibility: small(entry.visibility)
                .map(HistoryVisibility::from_i16)
                .unwrap_or_default(),
            snapshot_before: SnapshotNid(entry.snapshot_before),
            snapshot_after: SnapshotNid(entry.snapshot_after),
            redacted_by: None,
            redacts,
            transaction: entry.txn_device.zip(entry.txn_id),
            thread: entry.thread,
            verdict: Verdict::from_flags(entry.flags),
            content: entry.content,
        }
    }

    /// About how much memory it takes, in bytes.
    #[must_use]
    pub fn weight(&self) -> usize {
        let texts = [&self.event_id, &self.sender, &self.event_type];
        let texts: usize = texts.iter().map(|text| text.len()).sum();
        let state_key = self.state_key.as_ref().map_or(0, String::len);
        let thread = self.thread.as_ref().map_or(0, String::len);
        size_of::<Self>() + texts + state_key + thread + self.content.len()
    }

    /// True for an event of this type with this state key.
    #[must_use]
    pub fn is_state(&self, event_type: &str, state_key: &str) -> bool {
        self.event_type == event_type && self.state_key.as_deref() == Some(state_key)
    }
}

fn redacts_in(object: &[u8]) -> Option<OwnedEventId> {
    serde_json::from_slice::<Redacts>(object).ok()?.redacts
}

#[cfg(test)]
pub(crate) mod tests;
