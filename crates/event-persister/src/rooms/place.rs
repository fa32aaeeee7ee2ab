//! Putting an event at the end of a room's log, where its state before is the room's current state.

use std::sync::Arc;

use ganglion_event_rules::Pdu;
use ganglion_model::{
    EventNid, HistoryVisibility, Membership, Position, SlotNid, SnapshotNid, UserNid, Verdict,
};
use ganglion_proto::log;
use ganglion_state_deltas::{Chain, DeltaEntry, Link, StateHash, Summary, next};
use ganglion_storage::batch::{EventRow, EventStatus, MembershipRow, SnapshotRow, Tally};
use ganglion_storage::log::kind;
use ganglion_storage::{StorageError, rooms};

use super::RoomShard;
use super::part::{Part, Step};
use super::pdus::remember;
use super::room::{Extremity, Room, StateEvent};
use crate::words::StateKey;

/// The snapshot number of the empty state, which is not stored.
pub(super) const EMPTY_SNAPSHOT: SnapshotNid = SnapshotNid(0);

/// The levels of a snapshot's chain that are loaded with a room: those that a change may rewrite
/// now and then. What lies above is loaded when it is needed.
const LOADED_LEVELS: i16 = 2;

/// A room state in the form it is stored in.
#[derive(Debug, Clone)]
pub(super) struct StoredState {
    pub(super) chain: Chain,
    pub(super) summary: Summary,
}

impl StoredState {
    /// Its number.
    pub(super) fn nid(&self) -> SnapshotNid {
        self.chain.head().unwrap_or(EMPTY_SNAPSHOT)
    }
}

/// An event ready to be placed.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) nid: EventNid,
    pub(super) event: Arc<Pdu>,
    /// Device and transaction id, where a client of ours sent it.
    pub(super) txn: Option<(String, String)>,
    /// Canonical JSON of everything but the columns and the content; empty while it is unsigned.
    pub(super) envelope: Vec<u8>,
    /// The event whose redaction by this one took effect.
    pub(super) redacts: Option<EventNid>,
}

/// The numbers of an event's words.
pub(super) struct Numbers {
    pub(super) sender: UserNid,
    pub(super) event_type: ganglion_model::TypeNid,
    pub(super) slot: Option<SlotNid>,
    pub(super) target: Option<UserNid>,
}

impl RoomShard {
    /// Gives an event its words' numbers.
    pub(super) async fn numbers(&self, pdu: &Pdu) -> Result<Numbers, StorageError> {
        let words = &self.shared.words;
        let slot = match &pdu.state_key {
            Some(key) => Some(words.slot(&(pdu.event_type.clone(), key.clone())).await?),
            None => None,
        };
        let target = match (&pdu.state_key, pdu.membership()) {
            (Some(user), Some(_)) => Some(words.user(user).await?),
            _ => None,
        };
        Ok(Numbers {
            sender: words.user(pdu.sender.as_str()).await?,
            event_type: words.event_type(&pdu.event_type).await?,
            slot,
            target,
        })
    }

    /// Places an event live: it takes a position, becomes the only extremity, and, if it is a state
    /// event, takes its slot. It must have been authorised against the room's current state, and
    /// its own slot and the history visibility must be loaded. Returns the index of its row.
    pub(super) async fn place(
        &self,
        room: &mut Room,
        part: &mut Part,
        arrival: Arrival,
    ) -> Step<usize> {
        let Arrival {
            nid,
            event,
            txn,
            envelope,
            redacts,
        } = arrival;
        let pdu = &*event;
        let numbers = self.numbers(pdu).await?;
        let pos = part.position();
        let snapshot_before = room.chain.head().unwrap_or(EMPTY_SNAPSHOT);
        let visibility = current_visibility(room);
        let state_before = self.keeps_recent.then(|| room.chain.clone());
        let mut previous = None;
        if let (Some(slot), Some(state_key)) = (numbers.slot, &pdu.state_key) {
            let key: StateKey = (pdu.event_type.clone(), state_key.clone());
            let held = room.state(&key.0, &key.1);
            previous = held.and_then(StateEvent::membership);
            let old = held.map(|held| held.nid);
            room.summary = room.summary.change(slot, old, Some(nid));
            self.advance_state(room, part, &[(slot, Some(nid))]).await?;
            part.set_state(room.nid, slot, Some((nid, pdu.membership())));
            room.set_state(
                key,
                Some(StateEvent {
                    nid,
                    event: event.clone(),
                }),
            );
        }
        let snapshot_after = room.chain.head().unwrap_or(EMPTY_SNAPSHOT);
        let (tally, verdict) = self.count(room, pdu).await?;
        room.extremities = vec![Extremity {
            nid,
            event_id: pdu.event_id.clone(),
            depth: pdu.depth,
        }];
        if let (Some(target), Some(membership)) = (numbers.target, pdu.membership()) {
            part.rows.memberships.push(MembershipRow {
                user_nid: target,
                room_nid: room.nid,
                pos,
                membership,
                previous,
                event_nid: nid,
                sender_nid: numbers.sender,
            });
        }
        if let Some(state_before) = state_before {
            remember(room, nid, event.clone(), numbers.slot, state_before);
        }
        let placed = Placed {
            nid,
            pos: Some(pos),
            status: EventStatus::Live,
            visibility,
            snapshot_before,
            snapshot_after,
            extremities: None,
            txn,
            previous,
            tally,
            verdict,
        };
        part.log(
            pos,
            kind::EVENT,
            &entry(room, pdu, &numbers, &placed, redacts),
        );
        part.rows
            .events
            .push(row(room, pdu, &numbers, placed, envelope));
        Ok(part.rows.events.len() - 1)
    }

    /// Stores the state that differs from the room's by `changes`, and makes it the room's. The
    /// room's summary must be that of the new state already.
    async fn advance_state(
        &self,
        room: &mut Room,
        part: &mut Part,
        changes: &[DeltaEntry],
    ) -> Result<(), StorageError> {
        let mut state = StoredState {
            chain: std::mem::take(&mut room.chain),
            summary: room.summary,
        };
        self.write_state(room.nid, &mut state, changes, part)
            .await?;
        room.chain = state.chain;
        Ok(())
    }

    /// Stores a state that differs from another by `changes`: `state.chain` is the other's before
    /// and the new one's after; `state.summary` is the new one's already.
    pub(super) async fn write_state(
        &self,
        room: ganglion_model::RoomNid,
        state: &mut StoredState,
        changes: &[DeltaEntry],
        part: &mut Part,
    ) -> Result<(), StorageError> {
        let new = loop {
            match next(&state.chain, changes) {
                Ok(new) => break new,
                Err(needs) => self.load_link(&mut state.chain, needs.0).await?,
            }
        };
        let nid = SnapshotNid(self.shared.next_id().await?);
        part.rows.snapshots.push(SnapshotRow {
            snapshot_nid: nid,
            room_nid: room,
            level: i16::from(new.level),
            parent_nid: new.parent,
            length: i32::try_from(state.summary.len).unwrap_or(i32::MAX),
            hash: state.summary.hash.0,
            entries: new.delta.pack(),
        });
        let kept = state
            .chain
            .links()
            .iter()
            .skip_while(|link| Some(link.nid) != new.parent);
        let kept: Vec<Link> = kept.cloned().collect();
        let mut links = vec![Link {
            nid,
            level: new.level,
            parent: new.parent,
            delta: new.delta,
        }];
        links.extend(kept);
        state.chain = Chain::new(links).map_err(corrupt)?;
        Ok(())
    }

    /// Loads one more link of a chain.
    pub(super) async fn load_link(
        &self,
        chain: &mut Chain,
        snapshot: SnapshotNid,
    ) -> Result<(), StorageError> {
        let primary = self.shared.db.primary().await?;
        // Level 0 or above is always reached by the first link: exactly one is loaded.
        for link in rooms::chain(&primary, self.shard, snapshot, -1).await? {
            chain.push(decode_link(&link)?).map_err(corrupt)?;
        }
        Ok(())
    }

    /// The lower links of a stored snapshot, with its hash and length.
    pub(super) async fn load_chain(
        &self,
        snapshot: SnapshotNid,
    ) -> Result<StoredState, StorageError> {
        if snapshot == EMPTY_SNAPSHOT {
            return Ok(StoredState {
                chain: Chain::empty(),
                summary: Summary::EMPTY,
            });
        }
        let primary = self.shared.db.primary().await?;
        let rows = rooms::chain(&primary, self.shard, snapshot, LOADED_LEVELS).await?;
        let first = rows
            .first()
            .ok_or_else(|| StorageError::inconsistent(format!("no snapshot {snapshot}")))?;
        let len = u64::try_from(first.length).unwrap_or(0);
        let summary = Summary {
            hash: StateHash(first.hash),
            len,
        };
        let links = rows.iter().map(decode_link).collect::<Result<_, _>>()?;
        Ok(StoredState {
            chain: Chain::new(links).map_err(corrupt)?,
            summary,
        })
    }
}

fn decode_link(row: &rooms::SnapshotLink) -> Result<Link, StorageError> {
    let level = u8::try_from(row.level)
        .map_err(|_negative| StorageError::inconsistent("snapshots.level"))?;
    Link::from_row(row.snapshot_nid, level, row.parent_nid, &row.entries).map_err(corrupt)
}

pub(super) fn corrupt(error: ganglion_state_deltas::Corrupt) -> StorageError {
    StorageError::inconsistent(format!("snapshots: {error}"))
}

/// The history visibility in force (client-server API, "Room History Visibility").
pub(super) fn current_visibility(room: &Room) -> HistoryVisibility {
    let Some(held) = room.state("m.room.history_visibility", "") else {
        return HistoryVisibility::default();
    };
    #[derive(serde::Deserialize)]
    struct Content {
        history_visibility: String,
    }
    serde_json::from_str::<Content>(held.event.content.get())
        .map_or(HistoryVisibility::default(), |content| {
            HistoryVisibility::parse(&content.history_visibility)
        })
}

/// What placing an event decided.
pub(super) struct Placed {
    pub(super) nid: EventNid,
    pub(super) pos: Option<Position>,
    pub(super) status: EventStatus,
    pub(super) visibility: HistoryVisibility,
    pub(super) snapshot_before: SnapshotNid,
    pub(super) snapshot_after: SnapshotNid,
    pub(super) extremities: Option<Vec<EventNid>>,
    pub(super) txn: Option<(String, String)>,
    pub(super) previous: Option<Membership>,
    pub(super) tally: Tally,
    pub(super) verdict: Verdict,
}

pub(super) fn entry(
    room: &Room,
    pdu: &Pdu,
    numbers: &Numbers,
    placed: &Placed,
    redacts: Option<EventNid>,
) -> log::Event {
    log::Event {
        room_nid: room.nid.0,
        room_id: room.id.to_string(),
        event_nid: placed.nid.0,
        event_id: pdu.event_id.to_string(),
        depth: pdu.depth,
        origin_server_ts: pdu.origin_server_ts,
        sender_nid: numbers.sender.0,
        sender: pdu.sender.to_string(),
        r#type: pdu.event_type.clone(),
        state_key: pdu.state_key.clone(),
        slot_nid: numbers.slot.map(|nid| nid.0),
        target_nid: numbers.target.map(|nid| nid.0),
        membership: pdu.membership().map(|m| i32::from(m.to_i16())),
        previous_membership: placed.previous.map(|m| i32::from(m.to_i16())),
        visibility: i32::from(placed.visibility.to_i16()),
        flags: placed.verdict.to_flags(),
        snapshot_before: placed.snapshot_before.0,
        snapshot_after: placed.snapshot_after.0,
        redacts_nid: redacts.map(|nid| nid.0),
        redacts: pdu.redacts().map(|id| id.to_string()),
        txn_device: placed.txn.as_ref().map(|(device, _)| device.clone()),
        txn_id: placed.txn.as_ref().map(|(_, id)| id.clone()),
        content: pdu.content.get().to_owned().into_bytes().into(),
        room_version: room.version.as_str().to_owned(),
        thread: placed.tally.thread.clone(),
    }
}

pub(super) fn row(
    room: &Room,
    pdu: &Pdu,
    numbers: &Numbers,
    placed: Placed,
    envelope: Vec<u8>,
) -> EventRow {
    let relation = relation(pdu);
    let (txn_device, txn_id) = placed.txn.unzip();
    EventRow {
        event_nid: placed.nid,
        room_nid: room.nid,
        event_id: pdu.event_id.to_string(),
        pos: placed.pos,
        status: placed.status,
        depth: pdu.depth,
        origin_server_ts: pdu.origin_server_ts,
        sender_nid: numbers.sender,
        type_nid: numbers.event_type,
        slot_nid: numbers.slot,
        target_nid: numbers.target,
        membership: pdu.membership(),
        relates_to: relation.as_ref().map(|(event, _)| event.clone()),
        rel_type: relation.map(|(_, kind)| kind),
        visibility: placed.visibility,
        flags: placed.verdict.to_flags(),
        snapshot_before: placed.snapshot_before,
        snapshot_after: placed.snapshot_after,
        extremities: placed.extremities,
        txn_device,
        txn_id,
        content: pdu.content.get().to_owned().into_bytes(),
        envelope,
        tally: placed.tally,
    }
}

/// Parent and kind of `m.relates_to` (client-server API, "Forming relationships between events"). An
/// edit that cannot be valid is none ("Validity of replacement events"); what depends on its parent
/// is for the readers.
pub(super) fn relation(pdu: &Pdu) -> Option<(String, String)> {
    #[derive(serde::Deserialize)]
    struct Content {
        #[serde(rename = "m.relates_to")]
        relates_to: Relation,
        #[serde(rename = "m.new_content")]
        new_content: Option<serde::de::IgnoredAny>,
    }
    #[derive(serde::Deserialize)]
    struct Relation {
        event_id: String,
        rel_type: String,
    }
    let content: Content = serde_json::from_str(pdu.content.get()).ok()?;
    let Relation { event_id, rel_type } = content.relates_to;
    let has_new = content.new_content.is_some() || pdu.event_type == "m.room.encrypted";
    if rel_type == "m.replace" && (pdu.state_key.is_some() || !has_new) {
        return None;
    }
    let fits = ganglion_event_rules::content::is_storable_key;
    (fits(&event_id) && fits(&rel_type)).then_some((event_id, rel_type))
}
