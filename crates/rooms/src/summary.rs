//! What the public directory and a room's summary tell of rooms.

use std::collections::HashMap;

use ganglion_model::{HistoryVisibility, RoomNid, SlotNid};
use ganglion_storage::{StorageError, directory};
use serde_json::{Map, Value};

use crate::room::{RoomInfo, Rooms};
use crate::view::View;
use crate::visibility::set_visibility;

/// The state that a summary is made of.
const TYPES: [&str; 9] = [
    "m.room.avatar",
    "m.room.canonical_alias",
    "m.room.create",
    "m.room.encryption",
    "m.room.guest_access",
    "m.room.history_visibility",
    "m.room.join_rules",
    "m.room.name",
    "m.room.topic",
];

/// A room in a few words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Which room.
    pub room: RoomInfo,
    /// Its name.
    pub name: Option<String>,
    /// Its topic as plain text.
    pub topic: Option<String>,
    /// Its canonical alias.
    pub canonical_alias: Option<String>,
    /// The address of its picture.
    pub avatar_url: Option<String>,
    /// What kind of room it is.
    pub room_type: Option<String>,
    /// Who may join; without the event only who is invited.
    pub join_rule: String,
    /// The rooms whose members may join.
    pub allowed_rooms: Vec<String>,
    /// How its messages are encrypted.
    pub encryption: Option<String>,
    /// Whether everybody may read it.
    pub world_readable: bool,
    /// Whether guests may join.
    pub guest_can_join: bool,
    /// How many users are joined.
    pub joined_members: i64,
}

impl Summary {
    /// From the contents of the room's state events, by type.
    fn new(room: RoomInfo, contents: &HashMap<&str, Value>, joined_members: i64) -> Self {
        let content = |event_type: &str| contents.get(event_type).unwrap_or(&Value::Null);
        let text = |event_type: &str, key: &str| {
            let text = content(event_type).get(key)?.as_str()?;
            (!text.is_empty()).then(|| text.to_owned())
        };
        let visibility = content("m.room.history_visibility").to_string();
        Self {
            room,
            name: text("m.room.name", "name"),
            topic: topic(content("m.room.topic")).map(str::to_owned),
            canonical_alias: text("m.room.canonical_alias", "alias"),
            avatar_url: text("m.room.avatar", "url"),
            room_type: text("m.room.create", "type"),
            join_rule: text("m.room.join_rules", "join_rule")
                .unwrap_or_else(|| "invite".to_owned()),
            allowed_rooms: crate::entry::allowed_rooms(content("m.room.join_rules").clone()),
            encryption: text("m.room.encryption", "algorithm"),
            world_readable: set_visibility(visibility.as_bytes())
                == HistoryVisibility::WorldReadable,
            guest_can_join: text("m.room.guest_access", "guest_access").as_deref()
                == Some("can_join"),
            joined_members,
        }
    }

    /// As the public directory shows it (client-server API, "PublishedRoomsChunk").
    #[must_use]
    pub fn to_chunk(&self) -> Map<String, Value> {
        let mut chunk = Map::new();
        let optional = [
            ("name", &self.name),
            ("topic", &self.topic),
            ("canonical_alias", &self.canonical_alias),
            ("avatar_url", &self.avatar_url),
            ("room_type", &self.room_type),
        ];
        for (key, value) in optional {
            if let Some(value) = value {
                chunk.insert(key.to_owned(), Value::from(value.as_str()));
            }
        }
        let fixed = [
            ("room_id", Value::from(&*self.room.id)),
            ("join_rule", Value::from(self.join_rule.as_str())),
            ("num_joined_members", Value::from(self.joined_members)),
            ("world_readable", Value::from(self.world_readable)),
            ("guest_can_join", Value::from(self.guest_can_join)),
        ];
        chunk.extend(fixed.map(|(key, value)| (key.to_owned(), value)));
        chunk
    }

    /// As a room's own summary shows it (client-server API, "RoomSummary").
    #[must_use]
    pub fn to_summary(&self) -> Map<String, Value> {
        let mut summary = self.to_chunk();
        if let Some(algorithm) = &self.encryption {
            summary.insert("encryption".to_owned(), Value::from(algorithm.as_str()));
        }
        if !self.allowed_rooms.is_empty() {
            let allowed = Value::from(self.allowed_rooms.clone());
            summary.insert("allowed_room_ids".to_owned(), allowed);
        }
        let version = Value::from(self.room.version.as_str());
        summary.insert("room_version".to_owned(), version);
        summary
    }

    /// Whether a search term, in lower case, is found in what the directory shows.
    #[must_use]
    pub fn contains(&self, term: &str) -> bool {
        let texts = [&self.name, &self.topic, &self.canonical_alias];
        texts
            .into_iter()
            .flatten()
            .any(|text| text.to_lowercase().contains(term))
    }
}

/// The plain text of a topic: of its representations the first that is plain text, else `topic`.
fn topic(content: &Value) -> Option<&str> {
    let representations = content
        .get("m.topic")
        .and_then(|topic| topic.get("m.text"))
        .and_then(Value::as_array);
    let text = match representations {
        None => content.get("topic")?.as_str()?,
        Some(representations) => representations
            .iter()
            .find(|one| {
                let mimetype = one.get("mimetype");
                mimetype.is_none_or(|mimetype| mimetype == "text/plain")
            })?
            .get("body")?
            .as_str()?,
    };
    (!text.is_empty()).then_some(text)
}

impl Rooms {
    /// Summaries of rooms as they are now, in the same order.
    ///
    /// # Errors
    /// As [`View::snapshot`].
    pub async fn summaries(
        &self,
        view: &mut View,
        rooms: Vec<RoomInfo>,
    ) -> Result<Vec<Summary>, StorageError> {
        if rooms.is_empty() {
            return Ok(Vec::new());
        }
        let keys = TYPES.map(|event_type| (event_type.to_owned(), String::new()));
        let slots = self.slots(view, keys).await?;
        let types: HashMap<SlotNid, &str> = TYPES
            .into_iter()
            .filter_map(|name| Some((*slots.get(&(name.to_owned(), String::new()))?, name)))
            .collect();
        let places: Vec<_> = rooms.iter().map(|room| (room.shard, room.nid)).collect();
        let slots: Vec<SlotNid> = types.keys().copied().collect();
        let snapshot = view.snapshot().await?;
        let mut contents: HashMap<RoomNid, HashMap<&str, Value>> = HashMap::new();
        for (room, slot, content) in directory::contents(snapshot, &places, &slots).await? {
            if let (Some(name), Ok(content)) = (types.get(&slot), serde_json::from_slice(&content))
            {
                contents.entry(room).or_default().insert(name, content);
            }
        }
        let joined = directory::joined_members(snapshot, &places).await?;
        let joined: HashMap<RoomNid, i64> = joined.into_iter().collect();
        let none = HashMap::new();
        Ok(rooms
            .into_iter()
            .map(|room| {
                let nid = room.nid;
                let contents = contents.get(&nid).unwrap_or(&none);
                Summary::new(room, contents, joined.get(&nid).copied().unwrap_or(0))
            })
            .collect())
    }
}

#[cfg(test)]
mod tests;
