//! Single events: their form, `unsigned`, and the stripped state of invitations and knocks.

use serde_json::Value;

use super::{Ask, find};
use crate::model::world::{Event, Seq, World, membership_at};

/// What is told to a user of an event, besides the event.
pub(crate) struct Sight<'a> {
    pub(crate) world: &'a World,
    pub(crate) ask: &'a Ask<'a>,
    pub(crate) room: usize,
    /// Which of the room's events the user may see.
    pub(crate) visible: &'a [bool],
}

impl Sight<'_> {
    /// What is wrong with how an event is shown; `in_timeline` for what is not required of state.
    pub(crate) fn check(&self, event: &Event, shown: &Value, in_timeline: bool) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut same = |what: &str, found: &Value, expected: Value| {
            if *found != expected {
                wrong.push(format!("{}: {what} is {found}, not {expected}", event.id));
            }
        };
        same("type", &shown["type"], event.kind.clone().into());
        same("sender", &shown["sender"], event.sender.clone().into());
        same(
            "state_key",
            &shown["state_key"],
            event.state_key.clone().into(),
        );
        same(
            "origin_server_ts",
            &shown["origin_server_ts"],
            event.ts.clone(),
        );
        same("content", &shown["content"], event.content.clone());
        same("room_id", &shown["room_id"], Value::Null);
        let unsigned = &shown["unsigned"];
        let because = &unsigned["redacted_because"]["event_id"];
        same(
            "redacted_because",
            because,
            event.redacted_by.clone().into(),
        );
        let txn = self.world.txns.get(&event.id);
        let txn =
            txn.filter(|(device, _)| event.sender == self.ask.user && device == self.ask.device);
        let txn = txn.map(|(_, id)| id.clone());
        same("transaction_id", &unsigned["transaction_id"], txn.into());
        let changes = self.world.changes(self.room, self.ask.user, self.ask.now);
        // "If the user had yet to join the room at the time of the event, this property is set to
        // `leave`", "including any changes caused by the event".
        let membership = membership_at(&changes, event.seq).unwrap_or("leave");
        same("membership", &unsigned["membership"], membership.into());
        let replaced = self.replaced(event);
        let absent = |name: &str| unsigned[name].is_null();
        if in_timeline || !absent("replaces_state") || !absent("prev_content") {
            let id = replaced.map(|(_, old)| old.id.clone());
            same("replaces_state", &unsigned["replaces_state"], id.into());
            let seen = replaced.filter(|(index, _)| self.visible[*index]);
            let content = seen.map_or(Value::Null, |(_, old)| old.content.clone());
            same("prev_content", &unsigned["prev_content"], content);
        }
        wrong
    }

    fn replaced(&self, event: &Event) -> Option<(usize, &Event)> {
        let key = event.key()?;
        let events = self.world.rooms[self.room].events.iter().enumerate();
        let mut before = events.rev().skip_while(|(_, old)| old.seq >= event.seq);
        before.find(|(_, old)| old.key().as_ref() == Some(&key))
    }
}

const STRIPPED: [&str; 7] = [
    "m.room.create",
    "m.room.name",
    "m.room.avatar",
    "m.room.topic",
    "m.room.join_rules",
    "m.room.canonical_alias",
    "m.room.encryption",
];

/// What is wrong with an invitation's or a knock's room ("Stripped state").
pub(crate) fn stripped(
    world: &World,
    ask: &Ask<'_>,
    (room, at): (usize, Seq),
    found: &Value,
) -> Vec<String> {
    let mut wrong = Vec::new();
    let name = if found["knock_state"].is_null() {
        "invite_state"
    } else {
        "knock_state"
    };
    let shown = found[name]["events"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let state = world.state(room, at);
    let own = ("m.room.member".to_owned(), ask.user.to_owned());
    for (key, event) in &state {
        let wanted = *key == own || (STRIPPED.contains(&key.0.as_str()) && key.1.is_empty());
        let count = shown
            .iter()
            .filter(|shown| shown["type"] == event.kind && shown["state_key"] == key.1.as_str())
            .count();
        if count != usize::from(wanted) {
            wrong.push(format!("{name} has {key:?} {count} times"));
        }
    }
    for shown in &shown {
        let key = |name: &str| shown[name].as_str().unwrap_or_default().to_owned();
        match state.get(&(key("type"), key("state_key"))) {
            Some(event) => {
                let expected = serde_json::json!({
                    "type": event.kind, "state_key": event.state_key, "sender": event.sender,
                    "content": event.content,
                });
                if *shown != expected {
                    wrong.push(format!("{name} has {shown}, not {expected}"));
                }
            }
            None => wrong.push(format!("{name} has {shown}, which is not in the state")),
        }
    }
    wrong
}

/// The ids of a list of events, each found in the room and in its right form.
pub(crate) fn list(
    sight: &Sight<'_>,
    shown: &Value,
    in_timeline: bool,
    wrong: &mut Vec<String>,
) -> Vec<usize> {
    let events = &sight.world.rooms[sight.room].events;
    let mut places = Vec::new();
    for shown in shown.as_array().into_iter().flatten() {
        match find(events, &shown["event_id"]) {
            Err(complaint) => wrong.push(complaint),
            Ok(event) => {
                wrong.extend(sight.check(event, shown, in_timeline));
                places.extend(events.iter().position(|other| other.id == event.id));
            }
        }
    }
    places
}
