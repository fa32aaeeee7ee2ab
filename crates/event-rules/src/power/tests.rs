use ruma::UserId;
use serde_json::value::to_raw_value;
use serde_json::{Value, json};

use super::{Level, Power};
use crate::testing::{ALICE, BOB, CAROL};
use crate::version::RoomVersion;

fn power(version: RoomVersion, create: Value, levels: Option<Value>) -> Power {
    let alice = UserId::parse(ALICE).unwrap();
    let levels = levels.map(|levels| to_raw_value(&levels).unwrap());
    Power::new(
        version,
        &alice,
        &to_raw_value(&create).unwrap(),
        levels.as_deref(),
    )
}

fn levels(power: &Power) -> [Level; 3] {
    [ALICE, BOB, CAROL].map(|user| power.user(&UserId::parse(user).unwrap()))
}

#[test]
fn users() {
    use Level::{Infinite, Number};
    let cases = [
        (
            RoomVersion::V10,
            json!({ "creator": BOB }),
            None,
            [Number(0), Number(100), Number(0)],
        ),
        (
            RoomVersion::V11,
            json!({ "creator": BOB }),
            None,
            [Number(100), Number(0), Number(0)],
        ),
        (
            RoomVersion::V12,
            json!({ "additional_creators": [CAROL] }),
            None,
            [Infinite, Number(0), Infinite],
        ),
        (
            RoomVersion::V11,
            json!({}),
            Some(json!({})),
            [Number(0), Number(0), Number(0)],
        ),
        (
            RoomVersion::V9,
            json!({}),
            Some(json!({ "users": { BOB: "50", CAROL: 7 } })),
            [Number(0), Number(50), Number(7)],
        ),
        (
            RoomVersion::V10,
            json!({}),
            Some(json!({ "users": { BOB: "50" }, "users_default": 3 })),
            [Number(3), Number(3), Number(3)],
        ),
        (
            RoomVersion::V12,
            json!({}),
            Some(json!({ "users": 7, "users_default": -1 })),
            [Infinite, Number(-1), Number(-1)],
        ),
    ];
    for (version, create, content, expected) in cases {
        assert_eq!(
            levels(&power(version, create.clone(), content.clone())),
            expected,
            "{create} {content:?}"
        );
    }
}

#[test]
fn needed_levels() {
    let default = power(RoomVersion::V12, json!({}), None);
    assert_eq!(default.needed("m.room.topic", true), 50);
    assert_eq!(default.needed("m.room.message", false), 0);
    let singles = [
        default.invite(),
        default.kick(),
        default.ban(),
        default.redact(),
    ];
    assert_eq!(singles, [0, 50, 50, 50]);
    assert_eq!(default.notification("room"), 50);
    let content = json!({
        "events": { "m.room.topic": 10 }, "state_default": 60, "events_default": 5, "invite": 20,
        "kick": 30, "ban": 40, "redact": 55, "notifications": { "room": 9 },
    });
    let set = power(RoomVersion::V12, json!({}), Some(content));
    assert_eq!(set.needed("m.room.topic", true), 10);
    assert_eq!(set.needed("m.room.name", true), 60);
    assert_eq!(set.needed("m.room.message", false), 5);
    assert_eq!(
        [set.invite(), set.kick(), set.ban(), set.redact()],
        [20, 30, 40, 55]
    );
    assert_eq!(set.notification("room"), 9);
    let bob = UserId::parse(BOB).unwrap();
    assert!(!set.may_send(&bob, "m.room.message", false));
    assert!(set.may_send(&UserId::parse(ALICE).unwrap(), "m.room.name", true));
}
