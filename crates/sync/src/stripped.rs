//! What somebody outside sees of a room (client-server API, "Stripped state").

use std::sync::Arc;

use ganglion_model::EventNid;
use ganglion_rooms::client_event::write_stripped;
use ganglion_rooms::{RoomEvent, RoomInfo, Rooms, View};
use ganglion_storage::StorageError;

/// The state events that help to recognise a room.
const TYPES: [&str; 7] = [
    "m.room.avatar",
    "m.room.canonical_alias",
    "m.room.create",
    "m.room.encryption",
    "m.room.join_rules",
    "m.room.name",
    "m.room.topic",
];

/// The room of `{"<name>":{"events":[...]}}` for an invitation or a knock; `None` if its event is
/// not there.
pub(crate) async fn room(
    rooms: &Rooms,
    view: &mut View,
    info: &RoomInfo,
    (name, member): (&str, EventNid),
) -> Result<Option<Vec<u8>>, StorageError> {
    let found = rooms.events(view, info, [member]).await?;
    let Some(member) = found.get(&member) else {
        return Ok(None);
    };
    let before = rooms.chain(view, info, member.snapshot_before).await?;
    let keys = TYPES
        .iter()
        .map(|event_type| ((*event_type).to_owned(), String::new()));
    let state = rooms.state_at_keys(view, info, &before, keys).await?;
    let mut events: Vec<Arc<RoomEvent>> = state.into_values().collect();
    events.sort_by(|a, b| a.event_type.cmp(&b.event_type));
    events.push(member.clone());
    let mut out = Vec::with_capacity(1_024);
    out.extend_from_slice(format!("{{\"{name}\":{{\"events\":[").as_bytes());
    for (index, event) in events.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_stripped(&mut out, event);
    }
    out.extend_from_slice(b"]}}");
    Ok(Some(out))
}
