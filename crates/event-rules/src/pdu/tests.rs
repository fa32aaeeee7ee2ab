use ganglion_model::Membership;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{FormatError, Pdu};
use crate::content::parse_object;
use crate::stored::split;
use crate::testing::{ALICE, Act, BOB, Room, any_value, any_version, object};
use crate::version::RoomVersion;

fn message() -> Value {
    json!({
        "auth_events": ["$a", "$b"],
        "content": { "body": "hi" },
        "depth": 7,
        "hashes": { "sha256": "x" },
        "origin_server_ts": 5,
        "prev_events": ["$c"],
        "room_id": "!r:one.example",
        "sender": ALICE,
        "type": "m.room.message",
    })
}

#[test]
fn malformed_events_are_refused() {
    let long = "x".repeat(256);
    let cases = [
        ("type", Value::Null),
        ("type", json!(7)),
        ("type", json!(long)),
        ("type", json!("a\0b")),
        ("sender", json!("alice")),
        ("sender", json!("@alice")),
        ("sender", json!(format!("@{long}:one.example"))),
        ("room_id", json!("r:one.example")),
        ("state_key", json!(7)),
        ("state_key", json!(long)),
        ("state_key", json!("\0")),
        ("depth", json!(-1)),
        ("depth", json!("7")),
        ("origin_server_ts", Value::Null),
        ("origin_server_ts", json!(-5)),
        ("content", json!("text")),
        ("prev_events", json!("$c")),
        ("prev_events", json!([["$c", {}]])),
        ("prev_events", json!(["c"])),
        ("prev_events", json!([format!("${long}")])),
        ("auth_events", json!(["$a", 7])),
        ("auth_events", json!(vec!["$a"; 11])),
        ("prev_events", json!(vec!["$a"; 21])),
    ];
    assert!(Pdu::from_canonical(&object(message()), RoomVersion::V11).is_ok());
    for (key, value) in cases {
        let mut event = message();
        event[key] = value.clone();
        if value.is_null() {
            event.as_object_mut().unwrap().remove(key);
        }
        let error = Pdu::from_canonical(&object(event), RoomVersion::V11).unwrap_err();
        assert!(matches!(error, FormatError::Invalid(_)), "{key}: {value}");
    }
}

#[test]
fn the_size_limit_is_exact() {
    let mut event = object(message());
    let small = serde_json::to_vec(&event).unwrap().len();
    for (size, fits) in [(65_535, true), (65_536, false)] {
        let filler = "x".repeat(size - small - r#","~":"""#.len());
        event.insert("~".to_owned(), filler.into());
        assert_eq!(serde_json::to_vec(&event).unwrap().len(), size);
        assert_eq!(
            Pdu::from_canonical(&event, RoomVersion::V11).is_ok(),
            fits,
            "{size}"
        );
    }
    assert_eq!(
        Pdu::from_canonical(&event, RoomVersion::V11).unwrap_err(),
        FormatError::TooLarge
    );
}

#[test]
fn a_stored_event_reads_like_the_original() {
    for version in RoomVersion::SUPPORTED {
        let (mut room, state) = Room::new(version);
        let acts = [
            (
                Act(ALICE, "m.room.member", Some(BOB)),
                json!({ "membership": "invite" }),
            ),
            (
                Act(ALICE, "m.room.message", None),
                json!({ "body": "hi", "redacts": "$x" }),
            ),
            (
                Act(ALICE, "m.room.redaction", None),
                json!({ "redacts": "$x" }),
            ),
        ];
        let mut events: Vec<_> = acts
            .into_iter()
            .map(|(act, content)| room.hashed(&state, act, content))
            .collect();
        let mut create = Room::new(version).0;
        create.room_id = create.room_id.filter(|_| !version.room_id_is_create_hash());
        let act = Act(ALICE, "m.room.create", Some(""));
        let content = json!({ "creator": ALICE, "room_version": version.as_str() });
        events.push(create.hashed(&Default::default(), act, content));
        for event in events {
            let parts = split(&event.object, &event.pdu, version).unwrap();
            let id = event.pdu.event_id.clone();
            let columns = event.pdu.columns();
            let stored =
                Pdu::from_stored(id, &columns, &parts.content, &parts.envelope, version).unwrap();
            // Raw JSON prints as its text, so this compares everything.
            assert_eq!(format!("{stored:?}"), format!("{:?}", event.pdu));
        }
    }
}

#[test]
fn helpers_read_the_content() {
    let (mut room, state) = Room::new(RoomVersion::V11);
    let member = room.event(
        &state,
        Act(ALICE, "m.room.member", Some(BOB)),
        json!({ "membership": "ban", "reason": "spam", "n": 1 }),
    );
    assert_eq!(member.membership(), Some(Membership::Ban));
    assert_eq!(member.content_text("reason").as_deref(), Some("spam"));
    assert_eq!(member.content_text("n"), None);
    assert!(member.is_state("m.room.member", BOB));
    let act = Act(ALICE, "m.room.redaction", None);
    let redaction = room.event(&state, act, json!({ "redacts": "$x" }));
    assert_eq!(redaction.redacts().map(AsRef::as_ref), Some("$x"));
    let (mut room, state) = Room::new(RoomVersion::V10);
    let redaction = room.event(&state, act, json!({ "redacts": "$x" }));
    assert_eq!(
        redaction.redacts(),
        None,
        "before version 11 it lies beside the content"
    );
}

proptest! {
    #[test]
    fn parsing_survives_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(object) = parse_object(&bytes) {
            let _refused = Pdu::from_canonical(&object, RoomVersion::V12);
        }
    }

    #[test]
    fn parsing_survives_any_value(
        version in any_version(),
        key in proptest::sample::select(vec![
            "auth_events", "content", "depth", "hashes", "origin_server_ts", "prev_events",
            "room_id", "sender", "signatures", "state_key", "type", "redacts", "unsigned",
        ]),
        value in any_value(),
        kind in proptest::sample::select(vec!["m.room.create", "m.room.member", "m.room.redaction"]),
    ) {
        let mut event = object(message());
        event.insert("type".to_owned(), kind.into());
        event.insert(key.to_owned(), value);
        if let Ok(pdu) = Pdu::from_canonical(&event, version) {
            prop_assert!(pdu.event_id.as_str().len() == 44);
            let _absent = pdu.membership();
        }
    }
}
