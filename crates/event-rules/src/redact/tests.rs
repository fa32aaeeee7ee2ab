use proptest::prelude::*;
use ruma::{CanonicalJsonObject, CanonicalJsonValue, UserId};
use serde_json::value::to_raw_value;
use serde_json::{Value, json};

use super::{may_redact, redact, user_may_redact};
use crate::pdu::Pdu;
use crate::power::Power;
use crate::stored::{join, split};
use crate::testing::{ALICE, BOB, CAROL, any_value, any_version, object};
use crate::version::RoomVersion;

fn event(kind: &str, content: CanonicalJsonObject) -> CanonicalJsonObject {
    let mut event = object(json!({
        "auth_events": [], "depth": 7, "hashes": {}, "origin_server_ts": 5, "state_key": "",
        "prev_events": ["$c"], "sender": ALICE, "signatures": {}, "type": kind,
        "room_id": "!r:one.example", "origin": "x", "unknown": 1, "redacts": "$y",
    }));
    event.insert("content".to_owned(), CanonicalJsonValue::Object(content));
    event
}

proptest! {
    #[test]
    fn redaction_keeps_the_id_and_happens_once(
        version in any_version(),
        kind in proptest::sample::select(vec![
            "m.room.create", "m.room.member", "m.room.join_rules", "m.room.power_levels",
            "m.room.history_visibility", "m.room.redaction", "m.room.aliases", "m.room.message",
        ]),
        values in proptest::collection::btree_map(
            proptest::sample::select(vec![
                "creator", "membership", "join_authorised_via_users_server", "third_party_invite",
                "join_rule", "allow", "users", "invite", "ban", "history_visibility", "redacts",
                "aliases", "body",
            ]).prop_map(str::to_owned),
            any_value(),
            0..6,
        ),
    ) {
        let event = event(kind, values);
        let pdu = Pdu::from_canonical(&event, version).unwrap();
        let parts = split(&event, &pdu, version).unwrap();
        let once = redact(kind, &parts.content, &parts.envelope, version).unwrap();
        let joined = join(&pdu.columns(), &once.content, &once.envelope, version).unwrap();
        let redacted = Pdu::from_canonical(&joined, version).unwrap();
        prop_assert_eq!(&redacted.event_id, &pdu.event_id);
        prop_assert!(!joined.contains_key("unknown"));
        let twice = redact(kind, &once.content, &once.envelope, version).unwrap();
        prop_assert_eq!(twice, once);
    }
}

#[test]
fn content_kept_per_version() {
    use RoomVersion as V;
    let cases: [(&str, Value, V, Value); 11] = [
        ("m.room.message", json!({ "body": "x" }), V::V12, json!({})),
        (
            "m.room.aliases",
            json!({ "aliases": [] }),
            V::V5,
            json!({ "aliases": [] }),
        ),
        ("m.room.aliases", json!({ "aliases": [] }), V::V6, json!({})),
        (
            "m.room.join_rules",
            json!({ "allow": [], "join_rule": "x" }),
            V::V7,
            json!({ "join_rule": "x" }),
        ),
        (
            "m.room.join_rules",
            json!({ "allow": [] }),
            V::V8,
            json!({ "allow": [] }),
        ),
        (
            "m.room.create",
            json!({ "creator": "a", "x": 1 }),
            V::V10,
            json!({ "creator": "a" }),
        ),
        (
            "m.room.create",
            json!({ "x": 1 }),
            V::V11,
            json!({ "x": 1 }),
        ),
        (
            "m.room.redaction",
            json!({ "redacts": "$x" }),
            V::V10,
            json!({}),
        ),
        (
            "m.room.redaction",
            json!({ "redacts": "$x" }),
            V::V11,
            json!({ "redacts": "$x" }),
        ),
        (
            "m.room.power_levels",
            json!({ "invite": 1 }),
            V::V10,
            json!({}),
        ),
        (
            "m.room.power_levels",
            json!({ "invite": 1 }),
            V::V11,
            json!({ "invite": 1 }),
        ),
    ];
    for (kind, content, version, kept) in cases {
        let bytes = serde_json::to_vec(&content).unwrap();
        let parts = redact(kind, &bytes, b"{}", version).unwrap();
        let found: Value = serde_json::from_slice(&parts.content).unwrap();
        assert_eq!(found, kept, "{kind} in version {version}");
    }
}

#[test]
fn who_may_redact() {
    let [alice, bob, carol] = [ALICE, BOB, CAROL].map(|user| UserId::parse(user).unwrap());
    let dave = UserId::parse("@dave:two.example").unwrap();
    let raw = |value: Value| to_raw_value(&value).unwrap();
    let levels = raw(json!({ "users": { CAROL: 60 }, "redact": 60 }));
    let power = Power::new(RoomVersion::V12, &alice, &raw(json!({})), Some(&levels));
    for (redacter, target, may) in [
        (&alice, &bob, true),
        (&carol, &bob, true),
        (&bob, &carol, false),
        (&bob, &bob, true),
        (&dave, &bob, true),
    ] {
        assert_eq!(
            may_redact(redacter, target, &power),
            may,
            "{redacter} {target}"
        );
    }
    // Being of one server is enough for another server's word, not for a user's.
    let erin = UserId::parse(format!("@erin:{}", bob.server_name())).unwrap();
    assert!(may_redact(&erin, &bob, &power));
    assert!(!user_may_redact(&erin, &bob, &power));
    assert!(user_may_redact(&bob, &bob, &power));
    assert!(user_may_redact(&carol, &bob, &power));
}
