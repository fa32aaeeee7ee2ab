//! `summary` of a joined room: its name where it has none, and how many are in it.

use ganglion_model::{Membership, Position};
use ganglion_rooms::{RoomInfo, Rooms, View};
use ganglion_storage::{StorageError, state};
use ruma::UserId;
use serde_json::Value;

/// As many as the specification wants to name a room.
const HEROES: i64 = 5;

/// A room as its summary shows it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Summary {
    /// Absent where the room has a name.
    pub(crate) heroes: Option<Vec<String>>,
    joined: i64,
    invited: i64,
}

impl Summary {
    /// Appends it as a JSON object.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let mut object = serde_json::Map::new();
        if let Some(heroes) = &self.heroes {
            object.insert("m.heroes".to_owned(), Value::from(heroes.clone()));
        }
        object.insert(
            "m.invited_member_count".to_owned(),
            Value::from(self.invited),
        );
        object.insert("m.joined_member_count".to_owned(), Value::from(self.joined));
        out.extend_from_slice(Value::Object(object).to_string().as_bytes());
    }
}

/// The room as it is in the view, which may be newer than the response: then the next response,
/// which shows what changed, carries it again.
pub(crate) async fn read(
    rooms: &Rooms,
    view: &mut View,
    info: &RoomInfo,
    user_id: &UserId,
) -> Result<Summary, StorageError> {
    let mut summary = Summary::default();
    let snapshot = view.snapshot().await?;
    let present = [Membership::Join, Membership::Invite];
    for (membership, count) in
        state::member_counts(snapshot, info.shard, info.nid, &present).await?
    {
        match membership {
            Membership::Join => summary.joined = count,
            _ => summary.invited = count,
        }
    }
    if has_name(rooms, view, info).await? {
        return Ok(summary);
    }
    let snapshot = view.snapshot().await?;
    let first = (user_id.as_str(), HEROES);
    let mut heroes = state::first_members(snapshot, info.shard, info.nid, &present, first).await?;
    if heroes.is_empty() {
        let gone = [Membership::Leave, Membership::Ban];
        heroes = state::first_members(snapshot, info.shard, info.nid, &gone, first).await?;
    }
    summary.heroes = Some(heroes);
    Ok(summary)
}

async fn has_name(rooms: &Rooms, view: &mut View, info: &RoomInfo) -> Result<bool, StorageError> {
    let now = rooms.state_at(view, info, Position::MAX).await?;
    let named = [("m.room.name", "name"), ("m.room.canonical_alias", "alias")];
    let keys = named.map(|(event_type, _)| (event_type.to_owned(), String::new()));
    let found = rooms.state_at_keys(view, info, &now, keys).await?;
    Ok(found.into_values().any(|event| {
        let content = serde_json::from_slice::<Value>(&event.content).unwrap_or_default();
        named.iter().any(|(event_type, key)| {
            event.event_type == *event_type
                && content
                    .get(key)
                    .and_then(Value::as_str)
                    .is_some_and(|text| !text.is_empty())
        })
    }))
}
