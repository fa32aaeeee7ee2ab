//! Events as clients see them, written without a round trip through a parser.

use ruma::{CanonicalJsonObject, CanonicalJsonValue, EventId};

use crate::version::RoomVersion;

/// What a client event is made of (client-server API, "Room event format"); bytes are canonical
/// JSON objects from storage.
#[derive(Debug, Clone, Copy)]
pub struct ClientEvent<'a> {
    /// The id.
    pub event_id: &'a str,
    /// The room; `None` omits it, as `/sync` wants.
    pub room_id: Option<&'a str>,
    /// The sender.
    pub sender: &'a str,
    /// The type.
    pub event_type: &'a str,
    /// The state key of a state event.
    pub state_key: Option<&'a str>,
    /// Milliseconds since the epoch.
    pub origin_server_ts: i64,
    /// The content.
    pub content: &'a [u8],
    /// The target of an `m.room.redaction` that is not itself redacted.
    pub redacts: Option<&'a EventId>,
    /// `unsigned`, already made for this user.
    pub unsigned: Option<&'a [u8]>,
}

/// Appends one event's JSON, keys in canonical order.
///
/// A redaction names its target beside its content and inside it, whichever the room version holds
/// (room version 11, "Moving the `redacts` property").
pub fn write_event(out: &mut Vec<u8>, event: &ClientEvent<'_>, version: RoomVersion) {
    out.extend_from_slice(b"{\"content\":");
    match event.redacts {
        Some(target) if !version.redacts_in_content() => {
            out.extend(with_redacts(event.content, target));
        }
        _ => out.extend_from_slice(event.content),
    }
    write_text(out, ",\"event_id\":", event.event_id);
    out.extend_from_slice(format!(",\"origin_server_ts\":{}", event.origin_server_ts).as_bytes());
    if let Some(target) = event.redacts {
        write_text(out, ",\"redacts\":", target.as_str());
    }
    if let Some(room_id) = event.room_id {
        write_text(out, ",\"room_id\":", room_id);
    }
    write_text(out, ",\"sender\":", event.sender);
    if let Some(state_key) = event.state_key {
        write_text(out, ",\"state_key\":", state_key);
    }
    write_text(out, ",\"type\":", event.event_type);
    if let Some(unsigned) = event.unsigned {
        out.extend_from_slice(b",\"unsigned\":");
        out.extend_from_slice(unsigned);
    }
    out.push(b'}');
}

/// Appends the stripped form of a state event (client-server API, "Stripped state").
pub fn write_stripped(out: &mut Vec<u8>, event: &ClientEvent<'_>) {
    out.extend_from_slice(b"{\"content\":");
    out.extend_from_slice(event.content);
    write_text(out, ",\"sender\":", event.sender);
    write_text(out, ",\"state_key\":", event.state_key.unwrap_or_default());
    write_text(out, ",\"type\":", event.event_type);
    out.push(b'}');
}

/// Appends `prefix` (a comma, a key and a colon) and a JSON string.
fn write_text(out: &mut Vec<u8>, prefix: &str, text: &str) {
    out.extend_from_slice(prefix.as_bytes());
    if text
        .bytes()
        .all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\')
    {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else {
        out.extend_from_slice(serde_json::Value::from(text).to_string().as_bytes());
    }
}

/// Parsed, because the sender may have put a `redacts` of its own there; redactions are rare.
fn with_redacts(content: &[u8], target: &EventId) -> Vec<u8> {
    let Ok(mut object) = serde_json::from_slice::<CanonicalJsonObject>(content) else {
        return content.to_vec();
    };
    object.insert(
        "redacts".to_owned(),
        CanonicalJsonValue::String(target.to_string()),
    );
    serde_json::to_vec(&object).unwrap_or_else(|_| content.to_vec())
}

#[cfg(test)]
mod tests;
