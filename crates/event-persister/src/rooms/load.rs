//! Loading rooms and the parts of their state that commands need.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::future::try_join_all;
use ganglion_cluster::owner::Pending;
use ganglion_event_rules::{Columns, Pdu, RoomVersion};
use ganglion_model::MatrixError;
use ganglion_proto::persister::RoomCommand;
use ganglion_proto::persister::room_command::Command;
use ganglion_storage::batch::EventStatus;
use ganglion_storage::rooms::StoredEvent;
use ganglion_storage::{StorageError, intern, rooms, unread};
use ruma::{EventId, OwnedRoomId, RoomId};

use super::RoomShard;
use super::counts::Running;
use super::part::{Step, Stop};
use super::room::{Extremity, Room, StateEvent};
use crate::words::StateKey;

impl RoomShard {
    /// Loads, all at once, the rooms that a batch needs and does not find in memory.
    pub(super) async fn preload(
        &mut self,
        commands: &[&Pending<RoomCommand>],
    ) -> Result<(), StorageError> {
        let mut missing: BTreeMap<OwnedRoomId, BTreeSet<StateKey>> = BTreeMap::new();
        for pending in commands {
            let Ok(room_id) = RoomId::parse(&pending.command.room_id) else {
                continue;
            };
            if self.rooms.contains_key(&room_id) {
                continue;
            }
            missing
                .entry(room_id)
                .or_default()
                .extend(first_keys(&pending.command));
        }
        let this = &*self;
        let loaded = try_join_all(missing.into_iter().map(|(room_id, keys)| async move {
            let Some(mut room) = this.load_room(&room_id).await? else {
                return Ok(None);
            };
            this.ensure_state(&mut room, &keys.into_iter().collect::<Vec<_>>())
                .await?;
            Ok::<_, StorageError>(Some((room_id, room)))
        }))
        .await?;
        self.rooms.extend(loaded.into_iter().flatten());
        Ok(())
    }

    /// Takes a room out of memory for the time of one command.
    pub(super) async fn take_room(&mut self, room_id: &RoomId, command: &Command) -> Step<Room> {
        let room = match self.rooms.remove(room_id) {
            Some(room) => Some(room),
            None => self.load_room(room_id).await?,
        };
        room.ok_or_else(|| {
            Stop::Refused(match command {
                Command::SetPublished(_) => MatrixError::not_found("no such room"),
                // A join can only mean a room that we do not know.
                Command::SetMembership(set) if set.sender == set.target => {
                    MatrixError::not_found("no such room")
                }
                _ => MatrixError::forbidden("you are not in this room"),
            })
        })
    }

    /// A room with its heads; `None` if it has no log entry.
    async fn load_room(&self, room_id: &RoomId) -> Result<Option<Room>, StorageError> {
        let primary = self.shared.db.primary().await?;
        let Some(row) = intern::find_room(&primary, room_id.as_str()).await? else {
            return Ok(None);
        };
        let Some(head) = rooms::head(&primary, self.shard, row.room_nid).await? else {
            return Ok(None);
        };
        let extremities = rooms::events_by_nid(&primary, self.shard, &head.extremities).await?;
        let (all, main) = unread::counts_of_room(&primary, self.shard, row.room_nid).await?;
        drop(primary);
        let version = RoomVersion::parse(&row.version).ok_or_else(|| {
            StorageError::inconsistent(format!("rooms.version of {room_id}: {}", row.version))
        })?;
        let mut room = Room::new(row.room_nid, room_id.to_owned(), version);
        for stored in extremities {
            room.extremities.push(extremity(&stored)?);
        }
        room.extremities.sort_by_key(|extremity| extremity.nid);
        let state = self.load_chain(head.snapshot).await?;
        (room.chain, room.summary) = (state.chain, state.summary);
        room.running = Running::new(all, main);
        Ok(Some(room))
    }

    /// Sees to it that a room knows what is in these slots of its current state.
    pub(super) async fn ensure_state(
        &self,
        room: &mut Room,
        keys: &[StateKey],
    ) -> Result<(), StorageError> {
        let unknown = room.unknown(keys);
        if unknown.is_empty() {
            return Ok(());
        }
        let slots = self
            .shared
            .words
            .find_slots(unknown.iter().cloned())
            .await?;
        let nids: Vec<_> = slots.values().copied().collect();
        for key in unknown {
            room.set_state(key, None);
        }
        if nids.is_empty() {
            return Ok(());
        }
        let primary = self.shared.db.primary().await?;
        for stored in rooms::current_state(&primary, self.shard, room.nid, &nids).await? {
            let held = state_event(room, &stored)?;
            let key = (stored.event_type, stored.state_key.unwrap_or_default());
            room.set_state(key, Some(held));
        }
        Ok(())
    }
}

/// A stored event as the authorisation rules read it.
pub(super) fn stored_event(room: &Room, stored: &StoredEvent) -> Result<Arc<Pdu>, StorageError> {
    let damaged = |reason: &dyn std::fmt::Display| {
        StorageError::inconsistent(format!("event {}: {reason}", stored.event_id))
    };
    let event_id = EventId::parse(&stored.event_id).map_err(|error| damaged(&error))?;
    let columns = Columns {
        room_id: room.id.as_str(),
        sender: &stored.sender,
        event_type: &stored.event_type,
        state_key: stored.state_key.as_deref(),
        origin_server_ts: stored.origin_server_ts,
        depth: stored.depth,
    };
    let pdu = Pdu::from_stored(
        event_id,
        &columns,
        &stored.content,
        &stored.envelope,
        room.version,
    )
    .map_err(|error| damaged(&error))?;
    let rejected = stored.status == EventStatus::Rejected as i16;
    Ok(Arc::new(if rejected { pdu.into_rejected() } else { pdu }))
}

/// An event of a room's current state.
fn state_event(room: &Room, stored: &StoredEvent) -> Result<StateEvent, StorageError> {
    Ok(StateEvent {
        nid: stored.event_nid,
        event: stored_event(room, stored)?,
    })
}

pub(super) fn extremity(stored: &StoredEvent) -> Result<Extremity, StorageError> {
    Ok(Extremity {
        nid: stored.event_nid,
        event_id: stored.event_id.as_str().try_into().map_err(|_invalid| {
            StorageError::inconsistent(format!("events.event_id: {}", stored.event_id))
        })?,
        depth: stored.depth,
    })
}

/// The slots that nearly every command on a room looks at.
fn first_keys(command: &RoomCommand) -> Vec<StateKey> {
    let mut keys: Vec<StateKey> = [
        "m.room.create",
        "m.room.power_levels",
        "m.room.join_rules",
        "m.room.history_visibility",
    ]
    .iter()
    .map(|event_type| ((*event_type).to_owned(), String::new()))
    .collect();
    let mut member = |user: &str| keys.push(("m.room.member".to_owned(), user.to_owned()));
    match &command.command {
        Some(Command::SendEvent(send)) => member(&send.sender),
        Some(Command::Redact(redact)) => member(&redact.sender),
        Some(Command::UpdateProfile(update)) => member(&update.user_id),
        Some(Command::SetReceipts(set)) => member(&set.user_id),
        Some(Command::SetMembership(set)) => {
            member(&set.sender);
            member(&set.target);
        }
        _ => {}
    }
    keys
}
