use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::json;

use super::{ResolveError, Resolver};
use crate::testing::{ALICE, Act, BOB, CAROL, Room};
use crate::version::RoomVersion;
use crate::{StateKey, StateMap};

fn key(event_type: &str, state_key: &str) -> StateKey {
    (event_type.to_owned(), state_key.to_owned())
}

/// Resolves, supplying only what is asked for; tells how many events that were.
fn resolve(room: &Room, maps: &[StateMap]) -> (StateMap, usize) {
    let mut resolver = Resolver::new(room.version, maps.to_vec());
    let mut asked = BTreeSet::new();
    loop {
        let needs = resolver.needs();
        if needs.is_empty() {
            return (resolver.run().unwrap(), asked.len());
        }
        assert_eq!(resolver.run(), Err(ResolveError::Unsupplied(needs.len())));
        for id in needs {
            assert!(asked.insert(id.clone()), "asked twice for {id}");
            match room.get(&id) {
                Some(event) => resolver.supply([event]),
                None => resolver.absent([id]),
            }
        }
    }
}

/// Resolves in every order of the states; the outcome must be one.
fn resolve_any_order(room: &Room, maps: &[StateMap]) -> StateMap {
    let (expected, _) = resolve(room, maps);
    for first in 0..maps.len() {
        let mut turned = maps.to_vec();
        turned.rotate_left(first);
        assert_eq!(resolve(room, &turned).0, expected);
        turned.reverse();
        assert_eq!(resolve(room, &turned).0, expected);
    }
    // Whole states with all events at hand must give what the reduced input gave.
    let mut resolver = Resolver::new(room.version, maps.to_vec());
    resolver.supply(room.events.values().cloned());
    assert_eq!(resolver.needs(), Vec::<ruma::OwnedEventId>::new());
    assert_eq!(resolver.run().unwrap(), expected);
    assert_eq!(
        plain(room, maps),
        expected,
        "as ruma resolves the whole states"
    );
    expected
}

/// Resolution without any reduction: whole states, whole auth chains.
fn plain(room: &Room, maps: &[StateMap]) -> StateMap {
    let rules = room.version.rules();
    let mut events = super::Events::default();
    events.known.extend(
        room.events
            .iter()
            .map(|(id, event)| (id.clone(), event.clone())),
    );
    let theirs: Vec<_> = maps
        .iter()
        .map(|map| {
            map.iter()
                .map(|(key, id)| (super::ruma_key(key), id.clone()))
                .collect()
        })
        .collect();
    let chains = maps
        .iter()
        .map(|map| {
            events
                .chain(map.values(), &mut BTreeSet::new())
                .into_iter()
                .collect()
        })
        .collect();
    let resolved = super::resolve(
        &rules.authorization,
        rules.state_res.v2_rules().unwrap(),
        &theirs,
        chains,
        |id: &ruma::EventId| room.get(id),
        |conflicted| {
            let conflicted = conflicted.values().flatten().cloned().collect();
            Some(events.subgraph(&conflicted).into_iter().collect())
        },
    );
    let resolved = resolved.unwrap().into_iter();
    resolved
        .map(|((kind, key), id)| ((kind.to_string(), key), id))
        .collect()
}

/// Alice (100), Bob (50) and Carol (0 or as given) in a public room.
fn populated(version: RoomVersion, carol: i64) -> (Room, StateMap) {
    let (mut room, mut state) = Room::new(version);
    room.levels(&mut state, &[(ALICE, 100)]);
    room.public(&mut state);
    room.member(&mut state, BOB, BOB, "join");
    room.member(&mut state, CAROL, CAROL, "join");
    room.levels(&mut state, &[(ALICE, 100), (BOB, 50), (CAROL, carol)]);
    (room, state)
}

const TOPIC: &str = "m.room.topic";

#[test]
fn equal_states_need_nothing() {
    let (room, state) = populated(RoomVersion::V11, 0);
    for maps in [
        vec![],
        vec![state.clone()],
        vec![state.clone(), state.clone()],
    ] {
        let expected = maps.first().cloned().unwrap_or_default();
        assert_eq!(resolve(&room, &maps), (expected, 0));
    }
}

#[test]
fn the_later_of_two_topics_wins() {
    for version in RoomVersion::SUPPORTED {
        let (mut room, state) = populated(version, 0);
        let (mut one, mut other) = (state.clone(), state.clone());
        room.set(
            &mut one,
            Act(ALICE, TOPIC, Some("")),
            json!({ "topic": "a" }),
        );
        let later = room.set(
            &mut other,
            Act(BOB, TOPIC, Some("")),
            json!({ "topic": "b" }),
        );
        let resolved = resolve_any_order(&room, &[one, other, state]);
        assert_eq!(resolved[&key(TOPIC, "")], later.event_id, "{version}");
    }
}

#[test]
fn a_demotion_beats_what_the_demoted_did_beside_it() {
    for version in RoomVersion::SUPPORTED {
        let (mut room, state) = populated(version, 0);
        let (mut one, mut other) = (state.clone(), state.clone());
        let levels = room.levels(&mut one, &[(ALICE, 100), (BOB, 0)]);
        room.set(
            &mut other,
            Act(BOB, TOPIC, Some("")),
            json!({ "topic": "b" }),
        );
        let resolved = resolve_any_order(&room, &[one, other]);
        assert_eq!(resolved[&key("m.room.power_levels", "")], levels.event_id);
        assert_eq!(resolved.get(&key(TOPIC, "")), None, "{version}");
    }
}

#[test]
fn two_bans_against_each_other() {
    for version in RoomVersion::SUPPORTED {
        // Bob and Carol ban each other; only the one with more power may.
        let (mut room, state) = populated(version, 60);
        let (mut one, mut other) = (state.clone(), state.clone());
        let ban = json!({ "membership": "ban" });
        let stands = room
            .set(
                &mut one,
                Act(CAROL, "m.room.member", Some(BOB)),
                ban.clone(),
            )
            .event_id
            .clone();
        room.set(
            &mut other,
            Act(BOB, TOPIC, Some("")),
            json!({ "topic": "b" }),
        );
        let dave = "@dave:four.example";
        room.member(&mut other, dave, dave, "join");
        room.set(&mut other, Act(BOB, "m.room.member", Some(dave)), ban);
        let resolved = resolve_any_order(&room, &[one, other]);
        assert_eq!(resolved[&key("m.room.member", BOB)], stands, "{version}");
        assert_eq!(resolved.get(&key(TOPIC, "")), None, "{version}");
        let dave = &room.events[&resolved[&key("m.room.member", dave)]];
        assert_eq!(dave.membership().unwrap().as_str(), "join", "{version}");
    }
}

#[test]
fn chains_of_power_levels_on_one_side() {
    for version in RoomVersion::SUPPORTED {
        let (mut room, state) = populated(version, 0);
        let (mut one, mut other) = (state.clone(), state.clone());
        room.levels(&mut one, &[(ALICE, 100), (BOB, 50), (CAROL, 50)]);
        room.set(
            &mut one,
            Act(CAROL, TOPIC, Some("")),
            json!({ "topic": "c" }),
        );
        let last = room.levels(&mut one, &[(ALICE, 100), (BOB, 50), (CAROL, 10)]);
        room.set(
            &mut other,
            Act(BOB, TOPIC, Some("")),
            json!({ "topic": "b" }),
        );
        room.member(&mut other, CAROL, CAROL, "leave");
        let resolved = resolve_any_order(&room, &[one, other]);
        assert_eq!(
            resolved[&key("m.room.power_levels", "")],
            last.event_id,
            "{version}"
        );
    }
}

#[test]
fn members_who_agree_are_not_asked_for() {
    for version in [RoomVersion::V11, RoomVersion::V12] {
        let (mut room, mut state) = populated(version, 0);
        for number in 0..200 {
            let user = format!("@user{number}:one.example");
            room.member(&mut state, &user, &user, "join");
        }
        let (mut one, mut other) = (state.clone(), state.clone());
        room.set(
            &mut one,
            Act(ALICE, TOPIC, Some("")),
            json!({ "topic": "a" }),
        );
        room.set(
            &mut other,
            Act(ALICE, TOPIC, Some("")),
            json!({ "topic": "b" }),
        );
        let (resolved, asked) = resolve(&room, &[one, other]);
        assert_eq!(resolved.len(), state.len() + 1);
        assert!(asked < 12, "{asked} events asked for");
    }
}

#[test]
fn an_event_nobody_has_is_passed_over() {
    let (mut room, state) = populated(RoomVersion::V11, 0);
    let (mut one, mut other) = (state.clone(), state);
    let lost = room.set(
        &mut one,
        Act(ALICE, TOPIC, Some("")),
        json!({ "topic": "a" }),
    );
    let kept = room.set(
        &mut other,
        Act(BOB, TOPIC, Some("")),
        json!({ "topic": "b" }),
    );
    room.events.remove(&lost.event_id);
    let (resolved, _) = resolve(&room, &[one, other]);
    assert_eq!(resolved[&key(TOPIC, "")], kept.event_id);
}

/// One step of a random room: on which fork, by whom, to whom, and what.
type Step = (usize, usize, usize, usize);

const USERS: [&str; 4] = [ALICE, BOB, CAROL, "@dave:four.example"];

/// Does what the step says where the rules allow it.
fn step(room: &mut Room, forks: &mut [StateMap], (fork, by, to, what): Step) {
    let (by, to) = (USERS[by], USERS[to]);
    let member = Act(by, "m.room.member", Some(to));
    let levels = |level: i64| {
        let users = [(ALICE, 100), (BOB, 50), (to, level)];
        let creator = room.version.privileges_creators().then_some(ALICE);
        let users = users.into_iter().filter(|(user, _)| Some(*user) != creator);
        let users = users.map(|(user, level)| (user.to_owned(), json!(level)));
        json!({ "users": users.collect::<serde_json::Map<_, _>>() })
    };
    let (act, content) = match what {
        0 => (Act(by, TOPIC, Some("")), json!({ "topic": room.now })),
        1 => (member, json!({ "membership": "join", "n": room.now })),
        2 => (member, json!({ "membership": "leave" })),
        3 => (member, json!({ "membership": "ban" })),
        4 => (Act(by, "m.room.power_levels", Some("")), levels(0)),
        5 => (Act(by, "m.room.power_levels", Some("")), levels(50)),
        6 => (
            Act(by, "m.room.join_rules", Some("")),
            json!({ "join_rule": "invite" }),
        ),
        _ => {
            // Entries that come to be shared after the fork have chains of their own.
            forks[fork] = forks[(fork + 1) % forks.len()].clone();
            return;
        }
    };
    let event = room.event(&forks[fork], act, content);
    if room.check(&forks[fork], &event).is_ok() {
        let key = key(&event.event_type, event.state_key.as_deref().unwrap());
        forks[fork].insert(key, event.event_id.clone());
        room.events.insert(event.event_id.clone(), event);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn the_reduced_input_resolves_like_whole_states(
        version in proptest::sample::select(vec![RoomVersion::V10, RoomVersion::V11, RoomVersion::V12]),
        steps in proptest::collection::vec((0_usize..3, 0_usize..4, 0_usize..4, 0_usize..8), 1..40),
        shared in proptest::collection::vec((0_usize..4, 0_usize..4, 0_usize..7), 0..4),
    ) {
        let (mut room, state) = populated(version, 50);
        let mut forks = [state.clone(), state.clone(), state];
        for next in steps {
            step(&mut room, &mut forks, next);
        }
        // The same event on top of forks that differ elsewhere.
        for (by, to, what) in shared {
            let before: BTreeSet<_> = room.events.keys().cloned().collect();
            step(&mut room, &mut forks, (0, by, to, what));
            let new = room.events.values().find(|event| !before.contains(&event.event_id)).cloned();
            if let Some(new) = new {
                for fork in &mut forks {
                    let key = key(&new.event_type, new.state_key.as_deref().unwrap());
                    fork.insert(key, new.event_id.clone());
                }
            }
        }
        resolve_any_order(&room, &forks);
    }
}
