use serde_json::{Value, json};

use super::*;

/// An event for tests, without state.
pub(crate) fn event(pos: Position, event_type: &str, sender: &str, content: Value) -> RoomEvent {
    RoomEvent {
        nid: EventNid(pos),
        event_id: format!("$e{pos}"),
        pos: Some(pos),
        origin_server_ts: 1_000 + pos,
        sender: sender.to_owned(),
        event_type: event_type.to_owned(),
        state_key: None,
        slot: None,
        target: None,
        membership: None,
        visibility: HistoryVisibility::Shared,
        snapshot_before: SnapshotNid(0),
        snapshot_after: SnapshotNid(0),
        redacted_by: None,
        redacts: None,
        transaction: None,
        thread: None,
        verdict: Default::default(),
        content: Bytes::from(content.to_string()),
    }
}

#[test]
fn the_target_of_a_redaction_is_found_where_the_version_puts_it() {
    let entry = |beside: Option<&str>, content: Value| log::Event {
        r#type: "m.room.redaction".to_owned(),
        redacts: beside.map(str::to_owned),
        content: Bytes::from(content.to_string()),
        ..log::Event::default()
    };
    let old = RoomEvent::from_log(entry(Some("$old"), json!({})), 1);
    assert_eq!(old.redacts.as_ref().map(|id| id.as_str()), Some("$old"));
    let new = RoomEvent::from_log(entry(None, json!({"redacts": "$new"})), 1);
    assert_eq!(new.redacts.as_ref().map(|id| id.as_str()), Some("$new"));
    let bad = RoomEvent::from_log(entry(None, json!({"redacts": 7})), 1);
    assert_eq!(bad.redacts, None);
}
