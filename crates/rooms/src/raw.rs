//! Events as servers send them to each other, for clients that ask for that (client-server API,
//! "Filtering", `event_format`).

use std::sync::Arc;

use ganglion_event_rules::redact::redact;
use ganglion_event_rules::stored::{self, Columns};
use ganglion_storage::StorageError;
use ganglion_storage::memberships::MembershipRecord;
use ganglion_storage::rooms::{self, StoredEvent};

use crate::client_event::Extras;
use crate::erased::may_be_erased;
use crate::event::RoomEvent;
use crate::room::{RoomInfo, Rooms};
use crate::view::View;

impl Rooms {
    /// Has these events written as they are sent between servers; `extras` are theirs, for a user with
    /// these membership changes.
    ///
    /// # Errors
    /// As [`View::snapshot`]; `Inconsistent` for stored bytes that are damaged.
    pub async fn add_raw(
        &self,
        view: &mut View,
        room: &RoomInfo,
        (events, changes): (&[Arc<RoomEvent>], &[MembershipRecord]),
        extras: &mut Extras,
    ) -> Result<(), StorageError> {
        let nids: Vec<_> = events.iter().map(|event| event.nid).collect();
        if nids.is_empty() {
            return Ok(());
        }
        let found = rooms::events_by_nid(view.snapshot().await?, room.shard, &nids).await?;
        for stored in found {
            let is_it = |event: &&Arc<RoomEvent>| event.nid == stored.event_nid;
            let is_veiled = extras.erased.contains(&stored.sender)
                && (events.iter().find(is_it)).is_some_and(|event| may_be_erased(event, changes));
            extras
                .raw
                .insert(stored.event_nid, raw(room, &stored, is_veiled)?);
        }
        Ok(())
    }
}

/// The whole event, canonical JSON without `unsigned`.
fn raw(room: &RoomInfo, event: &StoredEvent, is_veiled: bool) -> Result<Vec<u8>, StorageError> {
    let damaged = |reason: &dyn std::fmt::Display| {
        StorageError::inconsistent(format!("event {}: {reason}", event.event_id))
    };
    let columns = Columns {
        room_id: &room.id,
        sender: &event.sender,
        event_type: &event.event_type,
        state_key: event.state_key.as_deref(),
        origin_server_ts: event.origin_server_ts,
        depth: event.depth,
    };
    let object = if is_veiled {
        let left = redact(
            &event.event_type,
            &event.content,
            &event.envelope,
            room.version,
        )
        .map_err(|error| damaged(&error))?;
        stored::join(&columns, &left.content, &left.envelope, room.version)
    } else {
        stored::join(&columns, &event.content, &event.envelope, room.version)
    };
    let object = object.map_err(|error| damaged(&error))?;
    serde_json::to_vec(&object).map_err(|error| damaged(&error))
}
