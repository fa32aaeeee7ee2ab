use ruma::EventId;
use serde_json::{Value, json};

use super::{ClientEvent, write_event, write_stripped};
use crate::testing::ALICE;
use crate::version::RoomVersion;

fn event() -> ClientEvent<'static> {
    ClientEvent {
        event_id: "$e",
        room_id: Some("!r:one.example"),
        sender: ALICE,
        event_type: "m.\"quoted\"\u{1}",
        state_key: Some("ü\\"),
        origin_server_ts: 5,
        content: br#"{"body":"hi"}"#,
        redacts: None,
        unsigned: Some(br#"{"age":1}"#),
    }
}

fn written(event: &ClientEvent<'_>, version: RoomVersion) -> Value {
    let mut out = Vec::new();
    write_event(&mut out, event, version);
    serde_json::from_slice(&out).unwrap()
}

#[test]
fn the_whole_event() {
    let expected = json!({
        "content": { "body": "hi" }, "event_id": "$e", "origin_server_ts": 5,
        "room_id": "!r:one.example", "sender": ALICE, "state_key": "ü\\",
        "type": "m.\"quoted\"\u{1}", "unsigned": { "age": 1 },
    });
    assert_eq!(written(&event(), RoomVersion::V11), expected);
    let mut out = Vec::new();
    write_event(&mut out, &event(), RoomVersion::V11);
    assert_eq!(
        out,
        serde_json::to_vec(&expected).unwrap(),
        "keys in canonical order"
    );
}

#[test]
fn what_is_absent_is_left_out() {
    let bare = ClientEvent {
        room_id: None,
        state_key: None,
        unsigned: None,
        ..event()
    };
    let keys: Vec<String> = written(&bare, RoomVersion::V11)
        .as_object()
        .unwrap()
        .keys()
        .cloned()
        .collect();
    assert_eq!(
        keys,
        ["content", "event_id", "origin_server_ts", "sender", "type"]
    );
}

#[test]
fn redactions_name_their_target_twice() {
    let target = EventId::parse("$t").unwrap();
    let redaction = ClientEvent {
        redacts: Some(&target),
        ..event()
    };
    for (version, content) in [
        (
            RoomVersion::V10,
            br#"{"reason":"x","redacts":"$other"}"#.as_slice(),
        ),
        (RoomVersion::V10, b"{}".as_slice()),
        (RoomVersion::V11, br#"{"redacts":"$t"}"#.as_slice()),
    ] {
        let found = written(
            &ClientEvent {
                content,
                ..redaction
            },
            version,
        );
        assert_eq!(found["redacts"], "$t");
        assert_eq!(found["content"]["redacts"], "$t");
    }
}

#[test]
fn stripped() {
    let mut out = Vec::new();
    write_stripped(&mut out, &event());
    let expected = json!({
        "content": { "body": "hi" }, "sender": ALICE, "state_key": "ü\\",
        "type": "m.\"quoted\"\u{1}",
    });
    assert_eq!(serde_json::from_slice::<Value>(&out).unwrap(), expected);
}
