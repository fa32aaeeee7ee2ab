use ganglion_event_rules::RoomVersion;
use ganglion_model::{RoomNid, Shard};
use ruma::{device_id, user_id};
use serde_json::{Value, json};

use super::*;
use crate::event::tests::event;

fn room() -> RoomInfo {
    let shard = Shard::new(3).unwrap();
    RoomInfo {
        nid: RoomNid(1),
        id: Arc::from("!r:x"),
        shard,
        version: RoomVersion::V12,
    }
}

fn write(event: &RoomEvent, extras: &Extras, device: &str) -> Value {
    let changes = [MembershipRecord {
        pos: 2,
        membership: Membership::Join,
        event_nid: EventNid(2),
    }];
    let room = room();
    let writer = Writer {
        viewer: Viewer {
            user_nid: UserNid(7),
            user_id: user_id!("@a:x"),
            device_id: Some(device.into()),
            own_log: 0,
            now_ms: 5_000,
        },
        room: &room,
        changes: &changes,
        extras,
        with_room_id: true,
        fields: None,
    };
    let mut out = Vec::new();
    writer.write(&mut out, event);
    serde_json::from_slice(&out).unwrap()
}

#[test]
fn the_transaction_id_is_for_the_sending_device() {
    let mut message = event(4, "m.room.message", "@a:x", json!({"body": "hi"}));
    message.transaction = Some(("DEV".to_owned(), "txn\"1".to_owned()));
    let seen = write(&message, &Extras::default(), device_id!("DEV").as_str());
    assert_eq!(
        seen["unsigned"],
        json!({"age": 3_996, "membership": "join", "transaction_id": "txn\"1"})
    );
    assert_eq!(seen["room_id"], "!r:x");
    let seen = write(&message, &Extras::default(), "OTHER");
    assert_eq!(seen["unsigned"].get("transaction_id"), None);
    message.sender = "@b:x".to_owned();
    let seen = write(&message, &Extras::default(), "DEV");
    assert_eq!(seen["unsigned"].get("transaction_id"), None);
}

#[test]
fn a_state_event_names_what_it_replaced() {
    let mut name = event(4, "m.room.name", "@a:x", json!({"name": "new"}));
    name.state_key = Some(String::new());
    let old = event(3, "m.room.name", "@a:x", json!({"name": "old"}));
    let extras = Extras {
        replaced: HashMap::from([(name.nid, Arc::new(old.clone()))]),
        ..Extras::default()
    };
    let seen = write(&name, &extras, "DEV");
    assert_eq!(seen["unsigned"]["prev_content"], json!({"name": "old"}));
    assert_eq!(seen["unsigned"]["replaces_state"], "$e3");
    // Content that the user may not see is left out, the id is not.
    let mut hidden = old;
    hidden.pos = Some(1);
    hidden.visibility = ganglion_model::HistoryVisibility::Joined;
    let extras = Extras {
        replaced: HashMap::from([(name.nid, Arc::new(hidden))]),
        ..Extras::default()
    };
    let seen = write(&name, &extras, "DEV");
    assert_eq!(seen["unsigned"].get("prev_content"), None);
    assert_eq!(seen["unsigned"]["replaces_state"], "$e3");
}

#[test]
fn a_redacted_event_shows_its_redaction() {
    let mut gone = event(1, "m.room.message", "@a:x", json!({}));
    gone.redacted_by = Some(EventNid(6));
    let mut redaction = event(6, "m.room.redaction", "@b:x", json!({"redacts": "$e1"}));
    redaction.redacts = Some("$e1".try_into().unwrap());
    let extras = Extras {
        redactions: HashMap::from([(EventNid(6), Arc::new(redaction))]),
        ..Extras::default()
    };
    let seen = write(&gone, &extras, "DEV");
    assert_eq!(seen["unsigned"]["membership"], "leave");
    assert_eq!(seen["unsigned"]["redacted_because"]["redacts"], "$e1");
    assert_eq!(
        seen["unsigned"]["redacted_because"]["content"]["redacts"],
        "$e1"
    );
    assert_eq!(seen["unsigned"]["redacted_because"]["room_id"], "!r:x");
}

#[test]
fn what_the_erased_said_before_is_shown_redacted() {
    let extras = Extras {
        erased: HashSet::from(["@gone:x".to_owned()]),
        ..Extras::default()
    };
    let said = |pos| event(pos, "m.room.message", "@gone:x", json!({"body": "hi"}));
    assert_eq!(write(&said(1), &extras, "DEV")["content"], json!({}));
    let after = write(&said(3), &extras, "DEV");
    assert_eq!(
        after["content"],
        json!({"body": "hi"}),
        "then it was no erased user"
    );
    let other = event(1, "m.room.message", "@b:x", json!({"body": "hi"}));
    assert_eq!(
        write(&other, &extras, "DEV")["content"],
        json!({"body": "hi"})
    );
}
