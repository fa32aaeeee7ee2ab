use ganglion_model::{RoomNid, Shard};
use ruma::RoomVersionId;
use serde_json::json;

use super::*;

fn child(room: &str, ts: i64, content: Value) -> Option<Child> {
    Child::parse(ChildRecord {
        room_nid: RoomNid(1),
        state_key: room.to_owned(),
        sender: "@a:hs.example".to_owned(),
        origin_server_ts: ts,
        content: content.to_string().into_bytes().into(),
    })
}

fn via(mut content: Value) -> Value {
    content["via"] = json!(["hs.example"]);
    content
}

#[test]
fn children_come_in_the_order_of_the_specification() {
    let mut children: Vec<Child> = [
        ("!d:x", 1_640_741_000_000, json!({})),
        ("!b:x", 1_640_341_000_000, json!({"order": " "})),
        ("!e:x", 1_640_641_000_000, json!({"order": "x".repeat(51)})),
        ("!a:x", 1_640_141_000_000, json!({"order": "aaaa"})),
        ("!c:x", 1_640_841_000_000, json!({"order": "first"})),
        ("!g:x", 1_640_741_000_000, json!({"order": 5})),
        ("!f:x", 1_640_741_000_000, json!({"order": "ä"})),
        ("!h:x", 1_640_140_000_000, json!({"order": "aaaa"})),
    ]
    .into_iter()
    .map(|(room, ts, content)| child(room, ts, via(content)).unwrap())
    .collect();
    children.sort_by(compare);
    let order: Vec<&str> = children.iter().map(|child| &*child.room_id).collect();
    assert_eq!(
        order,
        [
            "!b:x", "!h:x", "!a:x", "!c:x", "!e:x", "!d:x", "!f:x", "!g:x"
        ]
    );
}

#[test]
fn what_names_no_server_is_no_child() {
    for content in [
        json!({}),
        json!({"via": []}),
        json!({"via": "hs.example"}),
        json!({"via": [5]}),
    ] {
        assert!(child("!a:x", 1, content.clone()).is_none(), "{content}");
    }
    assert!(child("#a:x", 1, via(json!({}))).is_none());
    assert!(child("", 1, via(json!({}))).is_none());
    let odd = child("!a:x", 1, via(json!({"suggested": "yes", "order": {}}))).unwrap();
    assert!(!odd.suggested);
    assert!(
        child("!a:x", 1, via(json!({"suggested": true})))
            .unwrap()
            .suggested
    );
}

fn tree(edges: &[(&str, &[&str])]) -> HashMap<String, SpaceRoom> {
    let rooms = edges.iter().map(|(room, children)| {
        let info = RoomInfo::new(RoomNid(1), room, Shard::rooms().next().unwrap(), "12").unwrap();
        let children = children.iter().enumerate();
        let children = children
            .map(|(at, room)| child(room, i64::try_from(at).unwrap(), via(json!({}))).unwrap())
            .collect();
        ((*room).to_owned(), SpaceRoom { info, children })
    });
    rooms.collect()
}

#[test]
fn a_tree_is_walked_depth_first_and_each_room_once() {
    let known = tree(&[
        ("!r:x", &["!a:x", "!hidden:x", "!b:x", "!r:x"]),
        ("!a:x", &["!c:x", "!r:x"]),
        ("!b:x", &["!c:x", "!d:x"]),
        ("!c:x", &["!a:x"]),
        ("!d:x", &[]),
    ]);
    assert_eq!(
        walk("!r:x", &known, 9),
        ["!r:x", "!a:x", "!c:x", "!b:x", "!d:x"]
    );
    assert_eq!(walk("!r:x", &known, 1), ["!r:x", "!a:x", "!b:x"]);
    assert_eq!(walk("!r:x", &known, 0), ["!r:x"]);
    assert!(walk("!hidden:x", &known, 9).is_empty());
}

#[test]
fn who_is_told_of_a_room() {
    let open = |membership, join_rule, version: RoomVersionId| {
        is_open(Terms {
            version: RoomVersion::parse(version.as_str()).unwrap(),
            membership,
            join_rule,
            world_readable: false,
            in_allowed_room: true,
        })
    };
    let v12 = || RoomVersionId::V12;
    assert!(open(Some("join"), "invite", v12()));
    assert!(open(Some("invite"), "invite", v12()));
    assert!(!open(Some("leave"), "invite", v12()));
    assert!(!open(None, "private", v12()));
    for rule in ["public", "knock", "knock_restricted", "restricted"] {
        assert!(open(None, rule, v12()), "{rule}");
        assert!(!open(Some("ban"), rule, v12()), "{rule}");
    }
    for (rule, version) in [
        ("knock", RoomVersionId::V6),
        ("restricted", RoomVersionId::V7),
        ("knock_restricted", RoomVersionId::V9),
    ] {
        assert!(!open(None, rule, version), "{rule}");
    }
}
