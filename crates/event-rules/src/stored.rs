//! An event as storage holds it: columns, the bytes of its content, the bytes of the rest.

use ruma::canonical_json::CanonicalJsonObjectExt as _;
use ruma::{CanonicalJsonObject, CanonicalJsonValue, Int};

use crate::pdu::{FormatError, Pdu};
use crate::version::RoomVersion;

/// What the columns say of an event; the id is not part of an event since room version 3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Columns<'a> {
    /// The room.
    pub room_id: &'a str,
    /// The sender.
    pub sender: &'a str,
    /// The type.
    pub event_type: &'a str,
    /// The state key of a state event.
    pub state_key: Option<&'a str>,
    /// Milliseconds since the epoch.
    pub origin_server_ts: i64,
    /// The depth.
    pub depth: i64,
}

impl Columns<'_> {
    /// Whether the event carries no `room_id` unless its envelope says so: the create event of a
    /// room named by that event's hash.
    pub(crate) fn omits_room_id(&self, version: RoomVersion) -> bool {
        version.room_id_is_create_hash() && self.event_type == "m.room.create"
    }

    fn value(&self, key: &str, version: RoomVersion) -> Option<CanonicalJsonValue> {
        let text = |text: &str| Some(CanonicalJsonValue::String(text.to_owned()));
        let number = |number: i64| Some(CanonicalJsonValue::Integer(Int::new_saturating(number)));
        match key {
            "room_id" if self.omits_room_id(version) => None,
            "room_id" => text(self.room_id),
            "sender" => text(self.sender),
            "type" => text(self.event_type),
            "state_key" => self.state_key.and_then(text),
            "origin_server_ts" => number(self.origin_server_ts),
            "depth" => number(self.depth),
            _ => None,
        }
    }
}

const COLUMN_KEYS: [&str; 6] = [
    "room_id",
    "sender",
    "type",
    "state_key",
    "origin_server_ts",
    "depth",
];

/// The two byte strings beside the columns, both canonical JSON objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// `content`.
    pub content: Vec<u8>,
    /// Every other top-level key but `unsigned`: `auth_events`, `prev_events`, `hashes`,
    /// `signatures`, unknown ones, and a column's key where the column cannot tell its value.
    pub envelope: Vec<u8>,
}

/// Splits an event for storage, losing nothing but `unsigned`. `pdu` is that event, parsed.
pub fn split(
    object: &CanonicalJsonObject,
    pdu: &Pdu,
    version: RoomVersion,
) -> Result<Split, FormatError> {
    let columns = pdu.columns();
    let content = object.get_as_required_object("content", "content");
    let content = content.map_err(FormatError::invalid)?;
    let stays = |key: &str, value: &CanonicalJsonValue| {
        key != "content" && key != "unsigned" && columns.value(key, version).as_ref() != Some(value)
    };
    let envelope: std::collections::BTreeMap<_, _> = object
        .iter()
        .filter(|(key, value)| stays(key, value))
        .collect();
    Ok(Split {
        content: serde_json::to_vec(content).map_err(FormatError::invalid)?,
        envelope: serde_json::to_vec(&envelope).map_err(FormatError::invalid)?,
    })
}

/// The event again, exactly as it was split. Fails where the stored bytes are damaged.
pub fn join(
    columns: &Columns<'_>,
    content: &[u8],
    envelope: &[u8],
    version: RoomVersion,
) -> Result<CanonicalJsonObject, FormatError> {
    let content: CanonicalJsonObject =
        serde_json::from_slice(content).map_err(FormatError::invalid)?;
    let mut object: CanonicalJsonObject =
        serde_json::from_slice(envelope).map_err(FormatError::invalid)?;
    for key in COLUMN_KEYS {
        if let Some(value) = columns.value(key, version) {
            object.entry(key.to_owned()).or_insert(value);
        }
    }
    object.insert("content".to_owned(), CanonicalJsonValue::Object(content));
    Ok(object)
}

#[cfg(test)]
mod tests;
