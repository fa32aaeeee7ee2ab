use serde_json::json;

use super::*;
use crate::event::tests::event;

fn filter(json: serde_json::Value) -> RoomEventFilter {
    serde_json::from_value(json).unwrap()
}

#[test]
fn wildcards_match_any_sequence() {
    for (pattern, text, expected) in [
        ("m.room.message", "m.room.message", true),
        ("m.room.message", "m.room.messages", false),
        ("m.room.*", "m.room.message", true),
        ("m.room.*", "m.room.", true),
        ("m.room.*", "m.roomx", false),
        ("*", "", true),
        ("*", "anything", true),
        ("*.message", "m.room.message", true),
        ("*.message", "m.room.messages", false),
        ("m.*.mess*e", "m.room.message", true),
        ("m.*.mess*e", "m.message", false),
        ("a*a", "a", false),
        ("a*b*b", "ab", false),
        ("a*b*b", "abxb", true),
        ("**", "x", true),
        ("a.c", "abc", false),
    ] {
        assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
    }
}

#[test]
fn exclusion_wins_over_inclusion() {
    let message = event(1, "m.room.message", "@a:x", json!({"body": "hi"}));
    assert!(accepts(&filter(json!({})), &message));
    assert!(accepts(&filter(json!({"types": ["m.room.*"]})), &message));
    assert!(!accepts(&filter(json!({"types": []})), &message));
    assert!(!accepts(
        &filter(json!({"types": ["m.*"], "not_types": ["m.room.m*"]})),
        &message
    ));
    assert!(accepts(&filter(json!({"senders": ["@a:x"]})), &message));
    assert!(!accepts(&filter(json!({"senders": ["@b:x"]})), &message));
    assert!(!accepts(
        &filter(json!({"senders": ["@a:x"], "not_senders": ["@a:x"]})),
        &message
    ));
}

#[test]
fn urls_count_only_in_the_content() {
    let with = event(1, "m.room.message", "@a:x", json!({"url": "mxc://x/y"}));
    let without = event(
        2,
        "m.room.message",
        "@a:x",
        json!({"file": {"url": "mxc://x/y"}}),
    );
    assert!(accepts(&filter(json!({"contains_url": true})), &with));
    assert!(!accepts(&filter(json!({"contains_url": true})), &without));
    assert!(!accepts(&filter(json!({"contains_url": false})), &with));
    assert!(accepts(&filter(json!({"contains_url": false})), &without));
}

#[test]
fn rooms_are_listed_by_id() {
    let rooms: RoomFilter =
        serde_json::from_value(json!({"rooms": ["!a:x", "!b:x"], "not_rooms": ["!b:x"]})).unwrap();
    assert!(accepts_room(&rooms, "!a:x"));
    assert!(!accepts_room(&rooms, "!b:x"));
    assert!(!accepts_room(&rooms, "!c:x"));
    assert!(accepts_room_in(
        &filter(json!({"not_rooms": ["!b:x"]})),
        "!a:x"
    ));
}

#[test]
fn limits_are_bounded() {
    assert_eq!(limit(&filter(json!({})), 10, 100), 10);
    assert_eq!(limit(&filter(json!({"limit": 3})), 10, 100), 3);
    assert_eq!(limit(&filter(json!({"limit": 100_000})), 10, 100), 100);
}
