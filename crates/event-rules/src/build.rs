//! Making events of our own: a draft gets its hashes and its id, later its signature.

use ruma::signatures::{add_content_hash_to_event, sign_event};
use ruma::{
    CanonicalJsonObject, CanonicalJsonValue, Int, OwnedEventId, OwnedRoomId, OwnedUserId,
    ServerName,
};

use crate::pdu::{FormatError, Pdu, check};
use crate::signing_key::SigningKey;
use crate::version::RoomVersion;

/// More than the content hash and a signature add: a server name of up to 253 bytes, a key id of up
/// to 72, 129 bytes of base64, and their keys.
const SIGNATURE_ROOM: usize = 560;

/// An event before it is hashed.
#[derive(Debug, Clone)]
pub struct Draft {
    /// The room; `None` only for the create event of a room named by that event's hash.
    pub room_id: Option<OwnedRoomId>,
    /// Who sends it.
    pub sender: OwnedUserId,
    /// The type.
    pub event_type: String,
    /// For state events.
    pub state_key: Option<String>,
    /// The content.
    pub content: CanonicalJsonObject,
    /// The room's forward extremities.
    pub prev_events: Vec<OwnedEventId>,
    /// The events that [`crate::auth::auth_keys`] selects from the room's state.
    pub auth_events: Vec<OwnedEventId>,
    /// One more than the greatest depth of `prev_events`.
    pub depth: i64,
    /// Milliseconds since the epoch.
    pub origin_server_ts: i64,
    /// The target of an `m.room.redaction`; put where the room version wants it.
    pub redacts: Option<OwnedEventId>,
}

/// An event that lacks only its signature, on which its id does not depend.
#[derive(Debug, Clone)]
pub struct Hashed {
    /// The event, parsed.
    pub pdu: Pdu,
    /// The whole event, to be signed and split.
    pub object: CanonicalJsonObject,
}

/// Adds the content hash and computes the id. Fails where the event would break the format rules or
/// leave no room for a signature within the size limit.
pub fn hash(draft: Draft, version: RoomVersion) -> Result<Hashed, FormatError> {
    let mut object = CanonicalJsonObject::new();
    let mut put = |key: &str, value: CanonicalJsonValue| object.insert(key.to_owned(), value);
    let ids = |ids: Vec<OwnedEventId>| {
        let texts = ids
            .into_iter()
            .map(|id| CanonicalJsonValue::String(id.to_string()));
        CanonicalJsonValue::Array(texts.collect())
    };
    let mut content = draft.content;
    if let Some(redacts) = draft.redacts {
        let redacts = CanonicalJsonValue::String(redacts.to_string());
        if version.redacts_in_content() {
            content.insert("redacts".to_owned(), redacts);
        } else {
            put("redacts", redacts);
        }
    }
    put("auth_events", ids(draft.auth_events));
    put("prev_events", ids(draft.prev_events));
    put("content", CanonicalJsonValue::Object(content));
    put(
        "depth",
        CanonicalJsonValue::Integer(Int::new_saturating(draft.depth)),
    );
    let timestamp = Int::new_saturating(draft.origin_server_ts);
    put("origin_server_ts", CanonicalJsonValue::Integer(timestamp));
    put(
        "sender",
        CanonicalJsonValue::String(draft.sender.to_string()),
    );
    put("type", CanonicalJsonValue::String(draft.event_type));
    if let Some(room_id) = draft.room_id {
        put("room_id", CanonicalJsonValue::String(room_id.to_string()));
    }
    if let Some(state_key) = draft.state_key {
        put("state_key", CanonicalJsonValue::String(state_key));
    }
    if check::size(&object)? > check::MAX_PDU_BYTES - SIGNATURE_ROOM {
        return Err(FormatError::TooLarge);
    }
    add_content_hash_to_event(&mut object).map_err(FormatError::invalid)?;
    let pdu = Pdu::from_canonical(&object, version)?;
    Ok(Hashed { pdu, object })
}

/// Adds `server`'s signature to an event; takes CPU, so it belongs off the async threads.
pub fn sign(
    object: &mut CanonicalJsonObject,
    server: &ServerName,
    key: &SigningKey,
    version: RoomVersion,
) -> Result<(), FormatError> {
    sign_event(
        server.as_str(),
        key.pair(),
        object,
        &version.rules().redaction,
    )
    .map_err(FormatError::invalid)
}

#[cfg(test)]
mod tests;
