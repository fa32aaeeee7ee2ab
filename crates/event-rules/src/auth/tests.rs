use ruma::UserId;
use serde_json::json;
use serde_json::value::to_raw_value;

use super::auth_keys;
use crate::StateMap;
use crate::testing::{ALICE, Act, BOB, CAROL, Room};
use crate::version::RoomVersion;

/// Bob has 50, Carol nothing; both are in the room.
fn populated(version: RoomVersion) -> (Room, StateMap) {
    let (mut room, mut state) = Room::new(version);
    room.levels(&mut state, &[(ALICE, 100), (BOB, 50)]);
    room.public(&mut state);
    room.member(&mut state, BOB, BOB, "join");
    room.member(&mut state, CAROL, CAROL, "join");
    (room, state)
}

fn member(by: &'static str, who: &'static str) -> Act<'static> {
    Act(by, "m.room.member", Some(who))
}

#[test]
fn joins() {
    for version in RoomVersion::SUPPORTED {
        let join = json!({ "membership": "join" });
        let (mut room, mut state) = Room::new(version);
        let rules = Act(ALICE, "m.room.join_rules", Some(""));
        room.set(&mut state, rules, json!({ "join_rule": "invite" }));
        assert!(
            !room.allows(&state, member(BOB, BOB), join.clone()),
            "invite only"
        );
        room.member(&mut state, ALICE, BOB, "invite");
        assert!(
            room.allows(&state, member(BOB, BOB), join.clone()),
            "invited"
        );
        assert!(
            !room.allows(&state, member(CAROL, BOB), join.clone()),
            "for another"
        );
        room.public(&mut state);
        assert!(
            room.allows(&state, member(CAROL, CAROL), join.clone()),
            "public"
        );
        room.member(&mut state, ALICE, CAROL, "ban");
        assert!(
            !room.allows(&state, member(CAROL, CAROL), join.clone()),
            "banned"
        );
        room.member(&mut state, ALICE, CAROL, "leave");
        assert!(room.allows(&state, member(CAROL, CAROL), join), "unbanned");
    }
}

#[test]
fn power() {
    let membership = |what: &str| json!({ "membership": what });
    let topic = |by| Act(by, "m.room.topic", Some(""));
    let message = |by| Act(by, "m.room.message", None);
    let own = |by, key| Act(by, "org.x", Some(key));
    let levels = Act(BOB, "m.room.power_levels", Some(""));
    let raised = json!({ "users": { BOB: 60 } });
    let cases = [
        (member(BOB, CAROL), membership("leave"), true, "50 kicks 0"),
        (member(BOB, CAROL), membership("ban"), true, "50 bans 0"),
        (member(CAROL, BOB), membership("leave"), false, "0 kicks 50"),
        (
            member(BOB, ALICE),
            membership("leave"),
            false,
            "50 kicks the creator",
        ),
        (
            member(BOB, "@d:x"),
            membership("invite"),
            true,
            "a member invites",
        ),
        (topic(CAROL), json!({}), false, "0 sets the topic"),
        (topic(BOB), json!({}), true, "50 sets the topic"),
        (message(CAROL), json!({}), true, "0 speaks"),
        (message("@d:x"), json!({}), false, "a stranger speaks"),
        (own(BOB, CAROL), json!({}), false, "another's state key"),
        (own(BOB, BOB), json!({}), true, "the own state key"),
        (levels, raised, false, "50 raises itself"),
    ];
    for version in RoomVersion::SUPPORTED {
        let (mut room, state) = populated(version);
        for (act, content, allowed, what) in &cases {
            let found = room.allows(&state, *act, content.clone());
            assert_eq!(found, *allowed, "{what} in version {version}");
        }
    }
}

#[test]
fn knocking_begins_with_version_7() {
    for version in RoomVersion::SUPPORTED {
        let (mut room, mut state) = Room::new(version);
        let rules = Act(ALICE, "m.room.join_rules", Some(""));
        room.set(&mut state, rules, json!({ "join_rule": "knock" }));
        let knocks = room.allows(&state, member(BOB, BOB), json!({ "membership": "knock" }));
        assert_eq!(knocks, version >= RoomVersion::V7, "{version}");
    }
}

#[test]
fn restricted_joins_begin_with_version_8() {
    for version in RoomVersion::SUPPORTED {
        let (mut room, mut state) = Room::new(version);
        let rules = Act(ALICE, "m.room.join_rules", Some(""));
        room.set(
            &mut state,
            rules,
            json!({ "join_rule": "restricted", "allow": [] }),
        );
        let vouched = json!({ "membership": "join", "join_authorised_via_users_server": ALICE });
        let joins = room.allows(&state, member(BOB, BOB), vouched);
        assert_eq!(joins, version >= RoomVersion::V8, "{version}");
        assert!(!room.allows(&state, member(BOB, BOB), json!({ "membership": "join" })));
    }
}

#[test]
fn creators_of_version_12() {
    let create = json!({ "additional_creators": [BOB] });
    let (mut room, mut state) = Room::with_create(RoomVersion::V12, create);
    room.public(&mut state);
    room.member(&mut state, BOB, BOB, "join");
    room.member(&mut state, CAROL, CAROL, "join");
    room.levels(&mut state, &[(CAROL, 1_000_000)]);
    let levels = Act(BOB, "m.room.power_levels", Some(""));
    assert!(
        !room.allows(&state, levels, json!({ "users": { ALICE: 100 } })),
        "lists a creator"
    );
    assert!(
        !room.allows(&state, levels, json!({ "users": { BOB: 100 } })),
        "lists a creator"
    );
    assert!(
        room.allows(&state, levels, json!({ "users": {} })),
        "above every number"
    );
    let kick = json!({ "membership": "leave" });
    assert!(room.allows(&state, member(BOB, CAROL), kick.clone()));
    assert!(
        !room.allows(&state, member(CAROL, BOB), kick),
        "no number reaches a creator"
    );
}

#[test]
fn auth_events_are_selected() {
    let keys = |version, event_type: &str, state_key: Option<&str>, content| {
        let content = to_raw_value(&content).unwrap();
        let sender = UserId::parse(BOB).unwrap();
        let mut keys = auth_keys(event_type, &sender, state_key, &content, version).unwrap();
        keys.sort();
        keys.into_iter()
            .map(|(kind, key)| format!("{kind}|{key}"))
            .collect::<Vec<_>>()
    };
    let bob = format!("m.room.member|{BOB}");
    let carol = format!("m.room.member|{CAROL}");
    let (create, levels) = ("m.room.create|", "m.room.power_levels|");
    let message = |version| keys(version, "m.room.message", None, json!({}));
    assert_eq!(message(RoomVersion::V11), [create, &bob, levels]);
    assert_eq!(message(RoomVersion::V12), [&bob, levels]);
    assert!(keys(RoomVersion::V11, "m.room.create", Some(""), json!({})).is_empty());
    let invite = json!({ "membership": "invite" });
    let found = keys(RoomVersion::V12, "m.room.member", Some(CAROL), invite);
    assert_eq!(found, ["m.room.join_rules|", &bob, &carol, levels]);
}

#[test]
fn rejected_and_foreign_auth_events_and_versions() {
    let (mut room, state) = populated(RoomVersion::V11);
    let message = room.event(&state, Act(BOB, "m.room.message", None), json!({}));
    assert_eq!(room.check(&state, &message), Ok(()));
    let join = message
        .auth_events
        .iter()
        .find(|id| room.events[*id].is_state("m.room.member", BOB));
    let join = join.unwrap().clone();
    let rejected = (*room.events[&join]).clone().into_rejected();
    room.events.insert(join.clone(), rejected.into());
    assert!(
        room.check(&state, &message).is_err(),
        "a rejected auth event"
    );
    room.events.remove(&join);
    assert!(
        room.check(&state, &message).is_err(),
        "an unknown auth event"
    );

    let (mut room, _) = Room::new(RoomVersion::V11);
    let act = Act(ALICE, "m.room.create", Some(""));
    assert!(!room.allows(&StateMap::new(), act, json!({ "room_version": "10" })));
    assert!(
        !room.allows(&StateMap::new(), act, json!({})),
        "none means version 1"
    );
}
