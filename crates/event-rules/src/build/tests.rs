use ruma::signatures::{add_content_hash_to_event, sign_json};
use ruma::{CanonicalJsonObject, OwnedServerName};
use serde_json::json;

use super::{Draft, hash, sign};
use crate::pdu::{FormatError, Pdu};
use crate::signing_key::SigningKey;
use crate::testing::{ALICE, Act, Room, object};
use crate::version::RoomVersion;

fn spec_key() -> SigningKey {
    SigningKey::parse("ed25519 1 YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1").unwrap()
}

fn signature(object: &CanonicalJsonObject) -> &str {
    let signatures = object["signatures"].as_object().unwrap();
    signatures["domain"].as_object().unwrap()["ed25519:1"]
        .as_str()
        .unwrap()
}

// Spec, appendices, "Cryptographic Test Vectors".
#[test]
fn json_is_signed_as_the_spec_shows() {
    for (value, expected) in [
        (
            json!({}),
            "K8280/U9SSy9IVtjBuVeLr+HpOB4BQFWbg+UZaADMtTdGYI7Geitb76LTrr5QV/7Xg4ahLwYGYZzuHGZKM5ZAQ",
        ),
        (
            json!({ "one": 1, "two": "Two" }),
            "KqmLSbO39/Bzb0QIYE82zqLwsA+PDzYIpIRA2sRQ4sL53+sN6/fpNSoqE7BP7vBZhG6kYdD13EIMJpvhJI+6Bw",
        ),
    ] {
        let mut object = object(value);
        sign_json("domain", spec_key().pair(), &mut object).unwrap();
        assert_eq!(signature(&object), expected);
    }
}

// Spec, appendices, "Event Signing".
#[test]
fn events_are_signed_as_the_spec_shows() {
    let minimal = json!({
        "room_id": "!x:domain", "sender": "@a:domain", "origin": "domain",
        "origin_server_ts": 1_000_000, "signatures": {}, "hashes": {}, "type": "X", "content": {},
        "prev_events": [], "auth_events": [], "depth": 3, "unsigned": { "age_ts": 1_000_000 },
    });
    let redactable = json!({
        "content": { "body": "Here is the message content" }, "event_id": "$0:domain",
        "origin": "domain", "origin_server_ts": 1_000_000, "type": "m.room.message",
        "room_id": "!r:domain", "sender": "@u:domain", "signatures": {},
        "unsigned": { "age_ts": 1_000_000 },
    });
    let domain = OwnedServerName::try_from("domain").unwrap();
    for (event, hash, expected) in [
        (
            minimal,
            "5jM4wQpv6lnBo7CLIghJuHdW+s2CMBJPUOGOC89ncos",
            "KxwGjPSDEtvnFgU00fwFz+l6d2pJM6XBIaMEn81SXPTRl16AqLAYqfIReFGZlHi5KLjAWbOoMszkwsQma+lYAg",
        ),
        (
            redactable,
            "onLKD1bGljeBWQhWZ1kaP9SorVmRQNdN5aM2JYU2n/g",
            "Wm+VzmOUOz08Ds+0NTWb1d4CZrVsJSikkeRxh6aCcUwu6pNC78FunoD7KNWzqFn241eYHYMGCA5McEiVPdhzBA",
        ),
    ] {
        let mut event = object(event);
        add_content_hash_to_event(&mut event).unwrap();
        assert_eq!(event["hashes"].as_object().unwrap()["sha256"], hash);
        sign(&mut event, &domain, &spec_key(), RoomVersion::V3).unwrap();
        assert_eq!(signature(&event), expected);
    }
}

#[test]
fn the_id_does_not_depend_on_the_signature() {
    let domain = OwnedServerName::try_from("domain").unwrap();
    for version in RoomVersion::SUPPORTED {
        let (mut room, state) = Room::new(version);
        let act = Act(ALICE, "m.room.message", None);
        let mut event = room.hashed(&state, act, json!({ "body": "hi" }));
        sign(&mut event.object, &domain, &spec_key(), version).unwrap();
        let signed = Pdu::from_canonical(&event.object, version).unwrap();
        assert_eq!(signed.event_id, event.pdu.event_id);
        let id = event.pdu.event_id.as_str();
        assert_eq!(id.len(), 44);
        if version > RoomVersion::V3 {
            assert!(!id.contains(['+', '/']), "url-safe since version 4: {id}");
        }
    }
}

#[test]
fn a_room_of_version_12_is_named_by_its_create_event() {
    let (room, state) = Room::new(RoomVersion::V12);
    let create = &state[&("m.room.create".to_owned(), String::new())];
    let room_id = room.room_id.unwrap();
    assert_eq!(
        room_id.strip_sigil(),
        create.as_str().trim_start_matches('$')
    );
}

#[test]
fn redacts_goes_where_the_version_wants_it() {
    for (version, beside) in [(RoomVersion::V10, true), (RoomVersion::V11, false)] {
        let draft = Draft {
            redacts: Some("$x".try_into().unwrap()),
            ..draft("")
        };
        let event = hash(draft, version).unwrap();
        assert_eq!(event.object.contains_key("redacts"), beside);
        assert_eq!(
            event.object["content"]
                .as_object()
                .unwrap()
                .contains_key("redacts"),
            !beside
        );
        assert_eq!(event.pdu.redacts().unwrap(), "$x");
    }
}

#[test]
fn room_is_left_for_the_signature() {
    assert!(hash(draft(&"x".repeat(64_000)), RoomVersion::V11).is_ok());
    let error = hash(draft(&"x".repeat(65_300)), RoomVersion::V11).unwrap_err();
    assert_eq!(error, FormatError::TooLarge);
}

fn draft(body: &str) -> Draft {
    Draft {
        room_id: Some("!r:one.example".try_into().unwrap()),
        sender: ALICE.try_into().unwrap(),
        event_type: "m.room.redaction".to_owned(),
        state_key: None,
        content: object(json!({ "body": body })),
        prev_events: Vec::new(),
        auth_events: Vec::new(),
        depth: 1,
        origin_server_ts: 1,
        redacts: None,
    }
}
