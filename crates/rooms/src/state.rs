//! States of rooms, at any place of their log.

use std::collections::HashMap;
use std::sync::Arc;

use ganglion_model::{EventNid, Position, SlotNid, SnapshotNid};
use ganglion_state_deltas::{Chain, Link};
use ganglion_storage::state::Wanted;
use ganglion_storage::{StorageError, rooms as stored, state, timeline};

use crate::event::RoomEvent;
use crate::room::{RoomInfo, Rooms};
use crate::view::View;

/// A room's state: which event is in which slot.
pub type StateAt = Arc<Chain>;

impl Rooms {
    /// A stored state, with all its rows.
    ///
    /// # Errors
    /// As [`View::snapshot`]; `Inconsistent` if the rows do not belong together.
    pub async fn chain(
        &self,
        view: &mut View,
        room: &RoomInfo,
        snapshot: SnapshotNid,
    ) -> Result<StateAt, StorageError> {
        if snapshot.0 == 0 {
            return Ok(Arc::new(Chain::empty()));
        }
        if let Some(chain) = self.chains().get(&snapshot) {
            return Ok(chain);
        }
        let rows = stored::chain(view.snapshot().await?, room.shard, snapshot, i16::MAX).await?;
        let corrupt = |what: String| {
            StorageError::inconsistent(format!("snapshots of {}, {snapshot}: {what}", room.id))
        };
        let mut links = Vec::with_capacity(rows.len());
        for row in rows {
            let level = u8::try_from(row.level).map_err(|error| corrupt(error.to_string()))?;
            let link = Link::from_row(row.snapshot_nid, level, row.parent_nid, &row.entries)
                .map_err(|error| corrupt(error.to_string()))?;
            links.push(link);
        }
        let chain = Chain::new(links).map_err(|error| corrupt(error.to_string()))?;
        if chain.head() != Some(snapshot) || chain.missing().is_some() {
            return Err(corrupt("a row is missing".to_owned()));
        }
        let chain = Arc::new(chain);
        self.chains().insert(snapshot, chain.clone());
        Ok(chain)
    }

    /// The state after the room's last log entry at or below `pos`; empty if there is none.
    ///
    /// # Errors
    /// As [`Rooms::chain`].
    pub async fn state_at(
        &self,
        view: &mut View,
        room: &RoomInfo,
        pos: Position,
    ) -> Result<StateAt, StorageError> {
        let places = [(room.nid, pos)];
        let found = timeline::states_at(view.snapshot().await?, room.shard, &places).await?;
        let snapshot = found
            .first()
            .map_or(SnapshotNid(0), |(_, snapshot)| *snapshot);
        self.chain(view, room, snapshot).await
    }

    /// The events of a state that are wanted, by slot.
    ///
    /// # Errors
    /// As [`Rooms::chain`].
    pub async fn state_events(
        &self,
        view: &mut View,
        room: &RoomInfo,
        nids: Vec<EventNid>,
        wanted: Wanted<'_>,
    ) -> Result<Vec<Arc<RoomEvent>>, StorageError> {
        let (found, missing) = self.known_events(nids);
        let mut events: Vec<Arc<RoomEvent>> = found
            .into_values()
            .filter(|event| is_wanted(event, wanted))
            .collect();
        if !missing.is_empty() {
            let seen = self.redactions();
            let snapshot = view.snapshot().await?;
            for record in state::events(snapshot, room.shard, &missing, wanted).await? {
                let event = Arc::new(RoomEvent::from_record(record, room.version));
                self.remember(&event, seen);
                events.push(event);
            }
        }
        // The order in which they came to be, so that the same state always reads the same.
        events.sort_by_key(|event| (event.pos, event.nid));
        Ok(events)
    }

    /// The events in some places (event type, state key) of a state.
    ///
    /// # Errors
    /// As [`Rooms::chain`].
    pub async fn state_at_keys(
        &self,
        view: &mut View,
        room: &RoomInfo,
        chain: &Chain,
        keys: impl IntoIterator<Item = (String, String)>,
    ) -> Result<HashMap<(String, String), Arc<RoomEvent>>, StorageError> {
        let slots = self.slots(view, keys).await?;
        let mut wanted = HashMap::new();
        for (key, slot) in slots {
            if let Some(nid) = in_slot(chain, slot)? {
                wanted.insert(nid, key);
            }
        }
        let events = self.events(view, room, wanted.keys().copied()).await?;
        Ok(events
            .into_iter()
            .filter_map(|(nid, event)| Some((wanted.remove(&nid)?, event)))
            .collect())
    }
}

/// The event in a slot of a whole chain.
///
/// # Errors
/// `Inconsistent` if the chain is not whole.
pub(crate) fn in_slot(chain: &Chain, slot: SlotNid) -> Result<Option<EventNid>, StorageError> {
    chain
        .get(slot)
        .map_err(|needs| StorageError::inconsistent(needs.to_string()))
}

fn is_wanted(event: &RoomEvent, wanted: Wanted<'_>) -> bool {
    match wanted {
        Wanted::All => true,
        Wanted::Members => event.membership.is_some(),
        Wanted::WithoutMembersBut(slots) => {
            event.membership.is_none() || event.slot.is_some_and(|slot| slots.contains(&slot))
        }
    }
}
