//! The judge is judged: it takes a right answer, and finds every fault that is planted into it.

use serde_json::{Value, json};

use super::filter::Filter;
use super::judge::{Ask, Known, judge};
use super::world::{Room, Seq, World, membership_at};

const ALICE: &str = "@alice:x";
const BOB: &str = "@bob:x";
const ROOM: &str = "!room:x";

/// A room of Alice's, who says something after each of Bob's and her own changes.
struct Scene {
    world: World,
    filter: Filter,
    since: Option<Seq>,
    state_after: bool,
    known: Known,
}

impl Scene {
    fn new(visibility: &str) -> Self {
        let mut world = World::default();
        world.rooms.push(Room {
            id: ROOM.to_owned(),
            version: 11,
            creator: ALICE.to_owned(),
            events: Vec::new(),
        });
        let mut scene = Self {
            world,
            filter: Filter::default(),
            since: None,
            state_after: false,
            known: Known::default(),
        };
        scene.state(ALICE, "m.room.create", "", json!({"room_version": "11"}));
        scene.member(ALICE, ALICE, "join");
        let content = json!({"history_visibility": visibility});
        scene.state(ALICE, "m.room.history_visibility", "", content);
        scene.state(ALICE, "m.room.topic", "", json!({"topic": "old"}));
        scene
    }

    fn add(&mut self, mut event: Value) -> usize {
        let index = self.world.rooms[0].events.len();
        event["event_id"] = json!(format!("$e{index}"));
        event["origin_server_ts"] = json!(1_000 + index);
        self.world.add(0, &event);
        index
    }

    fn state(&mut self, sender: &str, kind: &str, key: &str, content: Value) -> usize {
        let event = json!({"type": kind, "state_key": key, "sender": sender, "content": content});
        self.add(event)
    }

    fn member(&mut self, sender: &str, of: &str, membership: &str) -> usize {
        let content = json!({"membership": membership});
        self.state(sender, "m.room.member", of, content)
    }

    fn say(&mut self, sender: &str) -> usize {
        self.add(json!({"type": "m.room.message", "sender": sender, "content": {"body": "text"}}))
    }

    /// Bob is joined, has seen it all, and comes with a token.
    fn with_bob(visibility: &str) -> Self {
        let mut scene = Self::new(visibility);
        scene.member(BOB, BOB, "join");
        let mut seen = super::judge::Seen::default();
        for event in &scene.world.rooms[0].events {
            seen.state.insert(event.key().unwrap(), event.id.clone());
        }
        (seen.joined, seen.invited) = (Some(2), Some(0));
        seen.heroes = Some([ALICE.to_owned()].into());
        scene.known.insert(ROOM.to_owned(), seen);
        scene.since = Some(scene.world.clock);
        scene
    }

    /// An event as it must be shown to Bob's device `D`.
    fn show(&self, index: usize, in_timeline: bool) -> Value {
        let (world, events) = (&self.world, &self.world.rooms[0].events);
        let event = &events[index];
        let changes = world.changes(0, BOB, world.clock);
        let mut shown = json!({
            "event_id": event.id, "type": event.kind, "sender": event.sender,
            "origin_server_ts": event.ts, "content": event.content,
            "unsigned": {"membership": membership_at(&changes, event.seq).unwrap_or("leave")},
        });
        if let Some(key) = &event.state_key {
            shown["state_key"] = json!(key);
        }
        let old = events[..index]
            .iter()
            .rposition(|old| event.key().is_some() && old.key() == event.key());
        if let Some(old) = old.filter(|_| in_timeline) {
            shown["unsigned"]["replaces_state"] = json!(events[old].id);
            if world.visible(0, BOB, world.clock)[old] {
                shown["unsigned"]["prev_content"] = events[old].content.clone();
            }
        }
        if let Some(redaction) = &event.redacted_by {
            shown["unsigned"]["redacted_because"] = json!({"event_id": redaction});
        }
        if let Some((device, txn)) = world.txns.get(&event.id)
            && event.sender == BOB
            && device == "D"
        {
            shown["unsigned"]["transaction_id"] = json!(txn);
        }
        shown
    }

    fn answer(&self, section: &str, state: &[usize], timeline: &[usize], limited: bool) -> Value {
        let list = |list: &[usize], timeline| -> Vec<Value> {
            list.iter()
                .map(|index| self.show(*index, timeline))
                .collect()
        };
        let name = if self.state_after {
            "state_after"
        } else {
            "state"
        };
        json!({"next_batch": "s", "rooms": {section: {ROOM: {
            name: {"events": list(state, false)},
            "timeline": {"events": list(timeline, true), "limited": limited, "prev_batch": "p"},
        }}}})
    }

    fn complaints(&self, answer: &Value) -> Vec<String> {
        let ask = Ask {
            user: BOB,
            device: "D",
            filter: &self.filter,
            since: self.since,
            now: self.world.clock,
            full_state: false,
            state_after: self.state_after,
        };
        judge(&self.world, &ask, &mut self.known.clone(), answer).complaints
    }

    /// The answer is right, and wrong with each of the faults.
    #[track_caller]
    fn finds(&self, answer: &Value, faults: &[(&str, Fault)]) {
        assert_eq!(self.complaints(answer), Vec::<String>::new());
        for (name, plant) in faults {
            let mut faulty = answer.clone();
            plant(&mut faulty);
            assert_ne!(faulty, *answer, "{name} changes nothing");
            assert!(!self.complaints(&faulty).is_empty(), "not found: {name}");
        }
    }

    /// The same of other values in the room of a section: where and what.
    #[track_caller]
    fn finds_other(&self, answer: &Value, section: &str, faults: &[(&str, Value)]) {
        assert_eq!(self.complaints(answer), Vec::<String>::new());
        for (place, value) in faults {
            let mut faulty = answer.clone();
            let room = room(&mut faulty, section);
            if let Some(found) = room.pointer_mut(place) {
                found.clone_from(value);
            } else {
                let (parent, name) = place.rsplit_once('/').unwrap();
                room.pointer_mut(parent).unwrap()[name] = value.clone();
            }
            assert_ne!(faulty, *answer, "{place} changes nothing");
            assert!(
                !self.complaints(&faulty).is_empty(),
                "not found: {place} {value}"
            );
        }
    }
}

/// Something that makes an answer wrong.
type Fault = fn(&mut Value);

fn room<'a>(answer: &'a mut Value, section: &str) -> &'a mut Value {
    &mut answer["rooms"][section][ROOM]
}

fn events<'a>(answer: &'a mut Value, section: &str, list: &str) -> &'a mut Vec<Value> {
    room(answer, section)[list]["events"]
        .as_array_mut()
        .unwrap()
}

fn timeline(answer: &mut Value) -> &mut Vec<Value> {
    events(answer, "join", "timeline")
}

#[test]
fn faults_of_a_timeline() {
    let mut scene = Scene::with_bob("shared");
    let said = scene.say(ALICE);
    let topic = scene.state(ALICE, "m.room.topic", "", json!({"topic": "new"}));
    let own = scene.say(BOB);
    scene
        .world
        .txns
        .insert(format!("$e{own}"), ("D".to_owned(), "t1".to_owned()));
    let other = scene.say(BOB);
    scene
        .world
        .txns
        .insert(format!("$e{other}"), ("OTHER".to_owned(), "t2".to_owned()));
    let redaction = scene.add(json!({
        "type": "m.room.redaction", "sender": ALICE, "content": {"redacts": format!("$e{said}")},
    }));
    scene
        .world
        .redact(0, &format!("$e{said}"), &format!("$e{redaction}"));
    let answer = scene.answer("join", &[], &[said, topic, own, other, redaction], false);
    let one = &scene.show(own, true);
    let topic = scene.show(topic, false);
    scene.finds(
        &answer,
        &[
            ("the first is missing", |a| drop(timeline(a).remove(0))),
            ("one is missing", |a| drop(timeline(a).remove(2))),
            ("the last is missing", |a| drop(timeline(a).pop())),
            ("two are swapped", |a| timeline(a).swap(2, 3)),
            ("nothing is told", |a| *a = json!({"next_batch": "s"})),
            ("the section is wrong", |a| {
                let it = room(a, "join").take();
                a["rooms"] = json!({"leave": {ROOM: it}});
            }),
            ("it is in two sections", |a| {
                let it = room(a, "join").clone();
                a["rooms"]["leave"] = json!({ROOM: it});
            }),
            ("another room", |a| {
                a["rooms"]["join"]["!other:x"] = json!({});
            }),
        ],
    );
    scene.finds_other(
        &answer,
        "join",
        &[
            // It is there twice.
            ("/timeline/events/1", one.clone()),
            ("/timeline/limited", json!(true)),
            ("/timeline/events/2/event_id", json!("$else")),
            ("/timeline/events/2/sender", json!(ALICE)),
            ("/timeline/events/2/content/body", json!("other")),
            ("/timeline/events/0/content/body", json!("text")),
            ("/timeline/events/0/unsigned/redacted_because", Value::Null),
            ("/timeline/events/1/unsigned/prev_content", Value::Null),
            ("/timeline/events/1/unsigned/replaces_state", Value::Null),
            ("/timeline/events/2/unsigned/transaction_id", Value::Null),
            ("/timeline/events/3/unsigned/transaction_id", json!("t2")),
            ("/timeline/events/2/unsigned/membership", json!("leave")),
            ("/state/events", json!([topic])),
            ("/state_after", json!({"events": []})),
            ("/summary", json!({"m.joined_member_count": 3})),
            ("/summary", json!({"m.heroes": [BOB]})),
        ],
    );
}

#[test]
fn faults_of_a_gap() {
    for state_after in [false, true] {
        let mut scene = Scene::with_bob("shared");
        scene.state_after = state_after;
        scene.filter.timeline.limit = Some(2);
        let middle = scene.state(ALICE, "m.room.topic", "", json!({"topic": "middle"}));
        let topic = scene.state(ALICE, "m.room.topic", "", json!({"topic": "new"}));
        let [_, one, two] = [scene.say(ALICE), scene.say(ALICE), scene.say(ALICE)];
        assert_eq!(middle + 1, topic);
        let answer = scene.answer("join", &[topic], &[one, two], true);
        scene.finds(
            &answer,
            &[
                ("fewer than there may be", |a| drop(timeline(a).remove(0))),
                ("no state", |a| {
                    for name in ["state", "state_after"] {
                        if !room(a, "join")[name].is_null() {
                            events(a, "join", name).clear();
                        }
                    }
                }),
                ("state in the other place", |a| {
                    let it = room(a, "join").as_object_mut().unwrap();
                    let (old, new) = match it.remove("state") {
                        Some(state) => (state, "state_after"),
                        None => (it.remove("state_after").unwrap(), "state"),
                    };
                    it.insert(new.to_owned(), old);
                }),
            ],
        );
        scene.finds_other(
            &answer,
            "join",
            &[
                ("/timeline/limited", json!(false)),
                ("/timeline/prev_batch", Value::Null),
            ],
        );
        // An older state.
        let stale = scene.answer("join", &[middle], &[one, two], true);
        assert!(!scene.complaints(&stale).is_empty());
        let twice = scene.answer("join", &[topic, topic], &[one, two], true);
        assert!(!scene.complaints(&twice).is_empty());
    }
}

#[test]
fn faults_of_a_room_that_was_left() {
    let mut scene = Scene::with_bob("joined");
    let said = scene.say(ALICE);
    let left = scene.member(ALICE, BOB, "leave");
    let after = scene.say(ALICE);
    let topic = scene.state(ALICE, "m.room.topic", "", json!({"topic": "after"}));
    let answer = scene.answer("leave", &[], &[said, left], false);
    scene.finds(
        &answer,
        &[
            ("it does not end", |a| {
                drop(events(a, "leave", "timeline").pop());
            }),
            ("nothing is told", |a| *a = json!({"next_batch": "s"})),
            ("still joined", |a| {
                let it = room(a, "leave").take();
                a["rooms"] = json!({"join": {ROOM: it}});
            }),
        ],
    );
    for beyond in [
        scene.answer("leave", &[], &[said, left, after], false),
        scene.answer("leave", &[topic], &[said, left], false),
    ] {
        assert!(!scene.complaints(&beyond).is_empty());
    }
    // Back again: what happened between the stays is hidden, and its state told.
    let back = scene.member(BOB, BOB, "join");
    let mut right = scene.answer("join", &[0, 1, 2, topic, left], &[back], true);
    let summary = json!({
        "m.joined_member_count": 2, "m.invited_member_count": 0, "m.heroes": [ALICE],
    });
    room(&mut right, "join")["summary"] = summary.clone();
    scene.finds_other(
        &right,
        "join",
        &[
            ("/summary/m.heroes", Value::Null),
            ("/summary/m.joined_member_count", Value::Null),
        ],
    );
    for wrong in [
        // What he may not see; over the gap, with the state of before; the state of before.
        scene.answer("join", &[0, 1, 2, topic, left], &[after, back], true),
        scene.answer("join", &[0, 1, 2, 3, 4], &[said, left, back], true),
        scene.answer("join", &[0, 1, 2, 3, left], &[back], true),
    ] {
        let mut wrong = wrong;
        room(&mut wrong, "join")["summary"] = summary.clone();
        assert!(!scene.complaints(&wrong).is_empty(), "{wrong}");
    }
}

#[test]
fn faults_of_an_invitation() {
    let mut scene = Scene::new("shared");
    scene.since = Some(scene.world.clock);
    scene.member(ALICE, BOB, "invite");
    let stripped = |index: usize| {
        let event = &scene.world.rooms[0].events[index];
        json!({
            "type": event.kind, "state_key": event.state_key, "sender": event.sender,
            "content": event.content,
        })
    };
    let list = [stripped(0), stripped(3), stripped(4)];
    let answer = json!({"rooms": {"invite": {ROOM: {"invite_state": {"events": list}}}}});
    fn list_of(answer: &mut Value) -> &mut Vec<Value> {
        events(answer, "invite", "invite_state")
    }
    scene.finds(
        &answer,
        &[
            ("no create event", |a| drop(list_of(a).remove(0))),
            ("no invitation", |a| drop(list_of(a).pop())),
            ("nothing is told", |a| *a = json!({})),
        ],
    );
    scene.finds_other(
        &answer,
        "invite",
        &[
            ("/invite_state/events/0/event_id", json!("$e0")),
            ("/invite_state/events/1/content/topic", json!("other")),
        ],
    );
}

#[test]
fn faults_of_lazy_loading() {
    let mut scene = Scene::with_bob("shared");
    scene.filter.state.lazy = true;
    scene.since = None;
    scene.filter.timeline.limit = Some(1);
    let said = scene.say(ALICE);
    let mut answer = scene.answer("join", &[0, 1, 2, 3, 4], &[said], true);
    room(&mut answer, "join")["summary"] = json!({
        "m.joined_member_count": 2, "m.invited_member_count": 0, "m.heroes": [ALICE],
    });
    scene.finds(
        &answer,
        &[
            ("no member of the sender", |a| {
                drop(events(a, "join", "state").remove(1));
            }),
            ("no own member", |a| drop(events(a, "join", "state").pop())),
            ("no topic", |a| drop(events(a, "join", "state").remove(3))),
        ],
    );
    // Later: a sender whose member event has changed meanwhile.
    let mut scene = Scene::with_bob("shared");
    scene.filter.state.lazy = true;
    scene.filter.timeline.limit = Some(1);
    let content = json!({"membership": "join", "displayname": "new"});
    let named = scene.state(ALICE, "m.room.member", ALICE, content);
    let said = scene.say(ALICE);
    let answer = scene.answer("join", &[named], &[said], true);
    scene.finds(
        &answer,
        &[("the old name", |a| events(a, "join", "state").clear())],
    );
}
