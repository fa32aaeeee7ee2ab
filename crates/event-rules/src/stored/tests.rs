use proptest::prelude::*;
use ruma::{CanonicalJsonObject, CanonicalJsonValue, Int};
use serde_json::json;

use super::{join, split};
use crate::pdu::Pdu;
use crate::testing::{any_value, any_version, object};
use crate::version::RoomVersion;

fn event(room_id: Option<&str>, kind: &str) -> CanonicalJsonObject {
    let mut event = object(json!({
        "auth_events": [], "content": {}, "depth": 7, "hashes": {}, "origin_server_ts": 5,
        "prev_events": ["$c"], "sender": "@a:b", "signatures": {}, "type": kind,
    }));
    if let Some(room_id) = room_id {
        event.insert("room_id".to_owned(), room_id.into());
    }
    event
}

fn round_trip(event: &CanonicalJsonObject, version: RoomVersion) -> CanonicalJsonObject {
    let pdu = Pdu::from_canonical(event, version).unwrap();
    let parts = split(event, &pdu, version).unwrap();
    join(&pdu.columns(), &parts.content, &parts.envelope, version).unwrap()
}

proptest! {
    #[test]
    fn join_undoes_split(
        version in any_version(),
        content in proptest::collection::btree_map(any::<String>(), any_value(), 0..4),
        unknown in proptest::collection::btree_map("[a-z_]{1,12}", any_value(), 0..4),
        state_key in proptest::option::of("[^\0]{0,20}"),
        depth in 0_i64..=9_007_199_254_740_991,
        timestamp in 0_i64..=9_007_199_254_740_991,
        kind in proptest::sample::select(vec!["m.room.create", "m.room.message", "x"]),
        has_unsigned in any::<bool>(),
    ) {
        let mut event = event(Some("!r:one.example"), kind);
        for (key, value) in unknown {
            event.entry(key).or_insert(value);
        }
        event.remove("unsigned");
        // An unknown key may have hit one whose form is fixed.
        event.remove("state_key");
        if let Some(state_key) = state_key {
            event.insert("state_key".to_owned(), state_key.into());
        }
        event.insert("content".to_owned(), CanonicalJsonValue::Object(content));
        event.insert("depth".to_owned(), CanonicalJsonValue::Integer(Int::new_saturating(depth)));
        let timestamp = CanonicalJsonValue::Integer(Int::new_saturating(timestamp));
        event.insert("origin_server_ts".to_owned(), timestamp);
        let mut given = event.clone();
        if has_unsigned {
            given.insert("unsigned".to_owned(), true.into());
        }
        prop_assert_eq!(round_trip(&given, version), event);
    }
}

#[test]
fn a_create_event_without_room_id_stays_so() {
    let create = event(None, "m.room.create");
    assert_eq!(round_trip(&create, RoomVersion::V12), create);
    let wrong = event(Some("!r"), "m.room.create");
    assert_eq!(round_trip(&wrong, RoomVersion::V12), wrong);
}

#[test]
fn columns_leave_the_envelope() {
    let event = event(Some("!r:b"), "x");
    let pdu = Pdu::from_canonical(&event, RoomVersion::V11).unwrap();
    let parts = split(&event, &pdu, RoomVersion::V11).unwrap();
    let envelope = r#"{"auth_events":[],"hashes":{},"prev_events":["$c"],"signatures":{}}"#;
    assert_eq!(String::from_utf8(parts.envelope).unwrap(), envelope);
    assert_eq!(parts.content, b"{}");
}
