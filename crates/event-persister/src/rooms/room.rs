//! One room as its writer holds it: heads and the state events that were needed, no lists.

use std::collections::HashMap;
use std::sync::Arc;

use ganglion_event_rules::{Pdu, RoomVersion};
use ganglion_model::{EventNid, Membership, Position, RoomNid, SlotNid};
use ganglion_state_deltas::{Chain, Summary};
use ganglion_storage::receipts::ReceiptKey;
use ruma::{OwnedEventId, OwnedRoomId};

use super::counts::Running;
use super::relations::Related;
use crate::words::StateKey;

/// A forward extremity: an event that no event of the room refers to yet.
#[derive(Debug, Clone)]
pub(crate) struct Extremity {
    pub(crate) nid: EventNid,
    pub(crate) event_id: OwnedEventId,
    pub(crate) depth: i64,
}

/// An event in the room's current state.
#[derive(Debug, Clone)]
pub(crate) struct StateEvent {
    pub(crate) nid: EventNid,
    pub(crate) event: Arc<Pdu>,
}

impl StateEvent {
    /// `content.membership`, for member events.
    pub(crate) fn membership(&self) -> Option<Membership> {
        self.event.membership()
    }
}

/// An event that arrived from elsewhere in the batch being prepared: not yet in the database.
#[derive(Debug, Clone)]
pub(crate) struct Recent {
    pub(crate) nid: EventNid,
    pub(crate) event: Arc<Pdu>,
    pub(crate) slot: Option<SlotNid>,
    pub(crate) state_before: Chain,
}

/// A room after everything that was prepared for it, committed or in the batch being prepared.
#[derive(Debug, Clone)]
pub(crate) struct Room {
    pub(crate) nid: RoomNid,
    pub(crate) id: OwnedRoomId,
    pub(crate) version: RoomVersion,
    pub(crate) extremities: Vec<Extremity>,
    /// The current state as stored, its lower levels loaded.
    pub(crate) chain: Chain,
    /// Hash and length of the current state.
    pub(crate) summary: Summary,
    /// Slots of the current state that were asked for; `None` for an empty one.
    state: HashMap<StateKey, Option<StateEvent>>,
    /// Events that arrived in the batch being prepared.
    pub(crate) recent: HashMap<OwnedEventId, Recent>,
    /// What its events relate to.
    pub(super) related: Related,
    /// Up to where the receipts that were asked for point; `None` where there is none.
    pub(crate) read_up_to: HashMap<ReceiptKey, Option<Position>>,
    /// Whether many users are joined, and when that was looked up, in milliseconds since the epoch.
    pub(crate) crowded: Option<(bool, i64)>,
    /// The counts after its last event.
    pub(crate) running: Running,
    /// When it was last used, in batches.
    pub(crate) used: u64,
}

/// What one remembered state event is taken to weigh beyond its content, in bytes.
const ENTRY_BYTES: usize = 512;
/// What one remembered receipt is taken to weigh.
const RECEIPT_BYTES: usize = 160;

impl Room {
    /// A room without events.
    pub(crate) fn new(nid: RoomNid, id: OwnedRoomId, version: RoomVersion) -> Self {
        Self {
            nid,
            id,
            version,
            extremities: Vec::new(),
            chain: Chain::empty(),
            summary: Summary::EMPTY,
            state: HashMap::new(),
            recent: HashMap::new(),
            related: Related::default(),
            read_up_to: HashMap::new(),
            crowded: None,
            running: Running::default(),
            used: 0,
        }
    }

    /// Those of `keys` whose slot nobody has asked for yet.
    pub(crate) fn unknown(&self, keys: &[StateKey]) -> Vec<StateKey> {
        let mut unknown: Vec<StateKey> = keys
            .iter()
            .filter(|key| !self.state.contains_key(*key))
            .cloned()
            .collect();
        unknown.sort();
        unknown.dedup();
        unknown
    }

    /// The event in a slot that was loaded; `None` if the slot is empty.
    pub(crate) fn state(&self, event_type: &str, state_key: &str) -> Option<&StateEvent> {
        self.state
            .get(&(event_type.to_owned(), state_key.to_owned()))?
            .as_ref()
    }

    /// Remembers what a slot holds now.
    pub(crate) fn set_state(&mut self, key: StateKey, event: Option<StateEvent>) {
        self.state.insert(key, event);
    }

    /// Replaces an event wherever the state holds it, after its redaction.
    pub(crate) fn replace_event(&mut self, nid: EventNid, redacted: &Arc<Pdu>) {
        for held in self.state.values_mut().flatten() {
            if held.nid == nid {
                held.event = redacted.clone();
            }
        }
    }

    /// The depth of an event sent now.
    pub(crate) fn next_depth(&self) -> i64 {
        // The largest integer of canonical JSON; the spec lets depth stop there.
        const MAX_DEPTH: i64 = 9_007_199_254_740_991;
        let highest = self.extremities.iter().map(|e| e.depth).max().unwrap_or(0);
        highest.saturating_add(1).clamp(1, MAX_DEPTH)
    }

    /// About how much memory it takes, in bytes.
    pub(crate) fn weight(&self) -> usize {
        let entries: usize = self.chain.links().iter().map(|link| link.delta.len()).sum();
        let state: usize = self
            .state
            .values()
            .map(|event| {
                ENTRY_BYTES
                    + event
                        .as_ref()
                        .map_or(0, |held| held.event.content.get().len())
            })
            .sum();
        1_024 + entries * 32 + state + self.read_up_to.len() * RECEIPT_BYTES
    }
}
