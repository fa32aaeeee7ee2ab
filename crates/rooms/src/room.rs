//! The handle: rooms by id, and the caches of one process.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ganglion_event_rules::RoomVersion;
use ganglion_model::{EventNid, RoomNid, Shard, SlotNid, SnapshotNid};
use ganglion_state_deltas::Chain;
use ganglion_storage::{StorageError, intern, timeline};
use moka::sync::Cache;

use crate::event::RoomEvent;
use crate::ignored::Lists;
use crate::view::View;

/// What never changes about a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomInfo {
    /// Its number.
    pub nid: RoomNid,
    /// Its id.
    pub id: Arc<str>,
    /// The shard of its log.
    pub shard: Shard,
    /// Its version.
    pub version: RoomVersion,
}

impl RoomInfo {
    /// From what is stored.
    ///
    /// # Errors
    /// `Inconsistent` for a room version that this server cannot hold.
    pub fn new(nid: RoomNid, id: &str, shard: Shard, version: &str) -> Result<Self, StorageError> {
        let version = RoomVersion::parse(version).ok_or_else(|| {
            StorageError::inconsistent(format!("rooms.version of {id}: {version}"))
        })?;
        Ok(Self {
            nid,
            id: Arc::from(id),
            shard,
            version,
        })
    }
}

/// Rooms and slots remembered by name.
const REMEMBERED: u64 = 100_000;

/// Reads rooms, with the caches of one process. A clone is the same handle.
#[derive(Clone)]
pub struct Rooms(Arc<Inner>);

struct Inner {
    rooms: Cache<String, RoomInfo>,
    slots: Cache<(String, String), SlotNid>,
    chains: Cache<SnapshotNid, Arc<Chain>>,
    events: Cache<EventNid, Arc<RoomEvent>>,
    redactions: AtomicU64,
    ignored: Lists,
}

impl Rooms {
    /// With empty caches of `cache_bytes` for events and as much for states.
    #[must_use]
    pub fn new(cache_bytes: usize) -> Self {
        let capacity = u64::try_from(cache_bytes).unwrap_or(u64::MAX) / 2;
        let narrow = |weight: usize| u32::try_from(weight).unwrap_or(u32::MAX);
        Self(Arc::new(Inner {
            rooms: Cache::new(REMEMBERED),
            slots: Cache::new(REMEMBERED),
            chains: Cache::builder()
                .max_capacity(capacity)
                .weigher(move |_nid, chain: &Arc<Chain>| {
                    let entries: usize = chain.links().iter().map(|link| link.delta.len()).sum();
                    narrow(128 + entries * 24)
                })
                .build(),
            events: Cache::builder()
                .max_capacity(capacity)
                .weigher(move |_nid, event: &Arc<RoomEvent>| narrow(event.weight()))
                .build(),
            redactions: AtomicU64::new(0),
            ignored: Lists::new(),
        }))
    }

    /// A room by its id; `None` if this server does not know it.
    ///
    /// # Errors
    /// As [`View::snapshot`].
    pub async fn find(
        &self,
        view: &mut View,
        room_id: &str,
    ) -> Result<Option<RoomInfo>, StorageError> {
        if let Some(room) = self.0.rooms.get(room_id) {
            return Ok(Some(room));
        }
        let Some(row) = intern::find_room(view.snapshot().await?, room_id).await? else {
            return Ok(None);
        };
        let room = RoomInfo::new(row.room_nid, room_id, row.shard, &row.version)?;
        self.0.rooms.insert(room_id.to_owned(), room.clone());
        Ok(Some(room))
    }

    /// Those of some rooms that this server knows, by id.
    ///
    /// # Errors
    /// As [`View::snapshot`].
    pub async fn find_all<'a>(
        &self,
        view: &mut View,
        room_ids: impl IntoIterator<Item = &'a str>,
    ) -> Result<HashMap<String, RoomInfo>, StorageError> {
        let mut found = HashMap::new();
        let mut missing = Vec::new();
        for room_id in room_ids {
            match self.0.rooms.get(room_id) {
                Some(room) => {
                    found.insert(room_id.to_owned(), room);
                }
                None => missing.push(room_id),
            }
        }
        if !missing.is_empty() {
            for (room_id, row) in intern::find_rooms(view.snapshot().await?, &missing).await? {
                let room = RoomInfo::new(row.room_nid, &room_id, row.shard, &row.version)?;
                self.0.rooms.insert(room_id.clone(), room.clone());
                found.insert(room_id, room);
            }
        }
        Ok(found)
    }

    /// The numbers of those places in the state (event type, state key) that have one; a place
    /// without a number is empty in every room.
    ///
    /// # Errors
    /// As [`View::snapshot`].
    pub async fn slots(
        &self,
        view: &mut View,
        keys: impl IntoIterator<Item = (String, String)>,
    ) -> Result<HashMap<(String, String), SlotNid>, StorageError> {
        let mut known = HashMap::new();
        let mut missing = Vec::new();
        for key in keys {
            match self.0.slots.get(&key) {
                Some(slot) => {
                    known.insert(key, slot);
                }
                None => missing.push(key),
            }
        }
        if !missing.is_empty() {
            missing.sort();
            missing.dedup();
            for (key, slot) in intern::find_slots(view.snapshot().await?, &missing).await? {
                self.0.slots.insert(key.clone(), slot);
                known.insert(key, slot);
            }
        }
        Ok(known)
    }

    /// Events of a shard by number. One that is not there is left out.
    ///
    /// # Errors
    /// As [`View::snapshot`].
    pub async fn events(
        &self,
        view: &mut View,
        room: &RoomInfo,
        nids: impl IntoIterator<Item = EventNid>,
    ) -> Result<HashMap<EventNid, Arc<RoomEvent>>, StorageError> {
        let (mut found, missing) = self.known_events(nids);
        if !missing.is_empty() {
            let seen = self.redactions();
            let records = timeline::by_nids(view.snapshot().await?, room.shard, &missing).await?;
            for record in records {
                let event = Arc::new(RoomEvent::from_record(record, room.version));
                self.remember(&event, seen);
                found.insert(event.nid, event);
            }
        }
        Ok(found)
    }

    /// Forgets an event's content: it was redacted. The log's followers call it.
    pub fn redacted(&self, nid: EventNid) {
        self.0.redactions.fetch_add(1, Ordering::AcqRel);
        self.0.events.invalidate(&nid);
    }

    /// Forgets the content of all events: redactions may have been missed.
    pub fn redactions_missed(&self) {
        self.0.redactions.fetch_add(1, Ordering::AcqRel);
        self.0.events.invalidate_all();
    }

    /// How many redactions were seen; ask before reading what is then remembered.
    pub(crate) fn redactions(&self) -> u64 {
        self.0.redactions.load(Ordering::Acquire)
    }

    /// Remembers an event that was read after `seen` redactions; not if one came in between, which
    /// the read may have missed.
    pub(crate) fn remember(&self, event: &Arc<RoomEvent>, seen: u64) {
        self.0.events.insert(event.nid, event.clone());
        if self.redactions() != seen {
            self.0.events.invalidate(&event.nid);
        }
    }

    /// The events that are remembered, and the numbers of the others.
    pub(crate) fn known_events(
        &self,
        nids: impl IntoIterator<Item = EventNid>,
    ) -> (HashMap<EventNid, Arc<RoomEvent>>, Vec<EventNid>) {
        let mut found = HashMap::new();
        let mut missing = Vec::new();
        for nid in nids {
            match self.0.events.get(&nid) {
                Some(event) => {
                    found.insert(nid, event);
                }
                None => missing.push(nid),
            }
        }
        (found, missing)
    }

    pub(crate) fn ignored_lists(&self) -> &Lists {
        &self.0.ignored
    }

    pub(crate) fn chains(&self) -> &Cache<SnapshotNid, Arc<Chain>> {
        &self.0.chains
    }
}
