//! What one command adds to a batch; merged into the batch only if the command succeeds.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use ganglion_event_rules::{Pdu, RoomVersion};
use ganglion_model::{EventNid, MatrixError, Membership, Position, RoomNid, SlotNid};
use ganglion_proto::log;
use ganglion_storage::StorageError;
use ganglion_storage::batch::{CurrentStateRow, JobRow, ReceiptRow, RoomRows};
use ganglion_storage::receipts::ReceiptKey;
use ruma::CanonicalJsonObject;

/// Why a command goes no further.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The client is answered this.
    Refused(MatrixError),
    /// The batch cannot be prepared now.
    Storage(StorageError),
}

impl From<MatrixError> for Stop {
    fn from(error: MatrixError) -> Self {
        Self::Refused(error)
    }
}

impl From<StorageError> for Stop {
    fn from(error: StorageError) -> Self {
        // It is the command's text: the others of the batch have nothing to do with it.
        if error.is_nul_in_text() {
            return Self::Refused(MatrixError::invalid_param("a text has a NUL"));
        }
        Self::Storage(error)
    }
}

/// A step of a command.
pub(crate) type Step<T> = Result<T, Stop>;

/// An event that is built but not signed; its id does not depend on the signature.
#[derive(Debug)]
pub(crate) struct Unsigned {
    /// Where its row is among `rows.events`.
    pub(crate) row: usize,
    pub(crate) pdu: Arc<Pdu>,
    pub(crate) object: CanonicalJsonObject,
    pub(crate) version: RoomVersion,
}

/// The event in a slot, and the membership it sets.
type Held = (EventNid, Option<Membership>);

/// Rows and entries under way.
#[derive(Debug)]
pub(crate) struct Part {
    /// The position of the next entry.
    pub(crate) next: Position,
    /// The time of the batch, in milliseconds since the epoch.
    pub(crate) now_ms: i64,
    pub(crate) rows: RoomRows,
    pub(crate) entries: Vec<log::Entry>,
    pub(crate) unsigned: Vec<Unsigned>,
    pub(crate) jobs: Vec<JobRow>,
    state: HashMap<(RoomNid, SlotNid), Option<Held>>,
}

impl Part {
    pub(crate) fn new(next: Position, now_ms: i64) -> Self {
        Self {
            next,
            now_ms,
            rows: RoomRows::default(),
            entries: Vec::new(),
            unsigned: Vec::new(),
            jobs: Vec::new(),
            state: HashMap::new(),
        }
    }

    /// Takes a position.
    pub(crate) fn position(&mut self) -> Position {
        let position = self.next;
        self.next += 1;
        position
    }

    /// Adds a log entry at a position that was taken.
    pub(crate) fn log(&mut self, pos: Position, kind: u32, payload: &impl prost::Message) {
        let payload = Bytes::from(payload.encode_to_vec());
        self.entries.push(log::Entry { pos, kind, payload });
    }

    /// Says what a slot of the current state holds now.
    pub(crate) fn set_state(
        &mut self,
        room: RoomNid,
        slot: SlotNid,
        event: Option<(EventNid, Option<Membership>)>,
    ) {
        self.state.insert((room, slot), event);
    }

    /// Says where a receipt is now; its entry is added already. One that it supersedes in this batch
    /// leaves its position void.
    pub(crate) fn set_receipt(&mut self, key: ReceiptKey, row: ReceiptRow) {
        let Some(superseded) = self.rows.receipts.insert(key, row) else {
            return;
        };
        let entries = &mut self.entries;
        if let Ok(place) = entries.binary_search_by_key(&superseded.pos, |entry| entry.pos) {
            entries.remove(place);
        }
    }

    /// Takes over what a command that succeeded has added.
    pub(crate) fn merge(&mut self, other: Self) {
        let offset = self.rows.events.len();
        self.next = other.next;
        self.rows.events.extend(other.rows.events);
        self.rows.redactions.extend(other.rows.redactions);
        self.rows.room_changes.extend(other.rows.room_changes);
        self.rows.snapshots.extend(other.rows.snapshots);
        self.rows.memberships.extend(other.rows.memberships);
        self.rows.new_aliases.extend(other.rows.new_aliases);
        self.rows.gone_aliases.extend(other.rows.gone_aliases);
        self.rows.published.extend(other.rows.published);
        self.rows.replaced.extend(other.rows.replaced);
        self.rows.entrants.extend(other.rows.entrants);
        self.entries.extend(other.entries);
        self.jobs.extend(other.jobs);
        for (key, row) in other.rows.receipts {
            self.set_receipt(key, row);
        }
        let moved = other.unsigned.into_iter();
        self.unsigned.extend(moved.map(|event| Unsigned {
            row: event.row + offset,
            ..event
        }));
        self.state.extend(other.state);
    }

    /// The rows, with the last word on each slot.
    pub(crate) fn into_rows(mut self) -> (RoomRows, Vec<log::Entry>) {
        let state = self
            .state
            .into_iter()
            .map(|((room_nid, slot_nid), event)| CurrentStateRow {
                room_nid,
                slot_nid,
                event,
            });
        self.rows.current_state = state.collect();
        (self.rows, self.entries)
    }
}

#[cfg(test)]
mod tests;
