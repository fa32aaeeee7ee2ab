//! A room in memory, for the tests of this crate.

use std::collections::HashMap;
use std::sync::Arc;

use proptest::prelude::*;
use ruma::{
    CanonicalJsonObject, CanonicalJsonValue, EventId, Int, OwnedEventId, OwnedRoomId, UserId,
};
use serde_json::{Value, json};

use crate::auth::{AuthError, auth_keys, check_dependent, check_independent};
use crate::build::{Draft, Hashed, hash};
use crate::{Pdu, RoomVersion, StateMap};

pub(crate) const ALICE: &str = "@alice:one.example";
pub(crate) const BOB: &str = "@bob:two.example";
pub(crate) const CAROL: &str = "@carol:three.example";

pub(crate) fn object(value: Value) -> CanonicalJsonObject {
    match CanonicalJsonValue::try_from(value).unwrap() {
        CanonicalJsonValue::Object(object) => object,
        other => panic!("no object: {other}"),
    }
}

/// Any canonical value, a few levels deep.
pub(crate) fn any_value() -> impl Strategy<Value = CanonicalJsonValue> {
    let leaf = prop_oneof![
        Just(CanonicalJsonValue::Null),
        any::<bool>().prop_map(CanonicalJsonValue::Bool),
        any::<i32>().prop_map(|n| CanonicalJsonValue::Integer(Int::from(n))),
        any::<String>().prop_map(CanonicalJsonValue::String),
    ];
    leaf.prop_recursive(3, 20, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(CanonicalJsonValue::Array),
            proptest::collection::btree_map(any::<String>(), inner, 0..4)
                .prop_map(CanonicalJsonValue::Object),
        ]
    })
}

pub(crate) fn any_version() -> impl Strategy<Value = RoomVersion> {
    proptest::sample::select(RoomVersion::SUPPORTED.to_vec())
}

/// An event to be made, against some state.
#[derive(Clone, Copy)]
pub(crate) struct Act<'a>(pub &'a str, pub &'a str, pub Option<&'a str>);

pub(crate) struct Room {
    pub(crate) version: RoomVersion,
    pub(crate) room_id: Option<OwnedRoomId>,
    pub(crate) events: HashMap<OwnedEventId, Arc<Pdu>>,
    pub(crate) now: i64,
}

impl Room {
    /// A room created and joined by Alice.
    pub(crate) fn new(version: RoomVersion) -> (Self, StateMap) {
        Self::with_create(version, json!({}))
    }

    pub(crate) fn with_create(version: RoomVersion, mut content: Value) -> (Self, StateMap) {
        content["room_version"] = json!(version.as_str());
        if version.names_creator_in_content() {
            content["creator"] = json!(ALICE);
        }
        let room_id = (!version.room_id_is_create_hash())
            .then(|| OwnedRoomId::try_from("!room:one.example").unwrap());
        let mut room = Self {
            version,
            room_id,
            events: HashMap::new(),
            now: 1_000,
        };
        let mut state = StateMap::new();
        let create = room.set(&mut state, Act(ALICE, "m.room.create", Some("")), content);
        room.room_id = Some(create.room_id.clone());
        room.member(&mut state, ALICE, ALICE, "join");
        (room, state)
    }

    pub(crate) fn hashed(&mut self, state: &StateMap, act: Act<'_>, content: Value) -> Hashed {
        self.now += 1_000;
        let Act(sender, event_type, state_key) = act;
        let sender = UserId::parse(sender).unwrap();
        let raw = serde_json::value::to_raw_value(&content).unwrap();
        let keys = auth_keys(event_type, &sender, state_key, &raw, self.version).unwrap();
        let create = event_type == "m.room.create";
        let draft = Draft {
            room_id: self.room_id.clone(),
            sender,
            event_type: event_type.to_owned(),
            state_key: state_key.map(ToOwned::to_owned),
            content: object(content),
            prev_events: if create {
                vec![]
            } else {
                state.values().take(1).cloned().collect()
            },
            auth_events: keys
                .iter()
                .filter_map(|key| state.get(key).cloned())
                .collect(),
            depth: i64::try_from(self.events.len()).unwrap(),
            origin_server_ts: self.now,
            redacts: None,
        };
        hash(draft, self.version).unwrap()
    }

    pub(crate) fn event(&mut self, state: &StateMap, act: Act<'_>, content: Value) -> Arc<Pdu> {
        Arc::new(self.hashed(state, act, content).pdu)
    }

    pub(crate) fn check(&self, state: &StateMap, pdu: &Pdu) -> Result<(), AuthError> {
        check_independent(pdu, self.version, |id| self.get(id))?;
        check_dependent(pdu, self.version, |event_type, key| {
            self.get(state.get(&(event_type.to_owned(), key.to_owned()))?)
        })
    }

    /// Whether an event would be allowed.
    pub(crate) fn allows(&mut self, state: &StateMap, act: Act<'_>, content: Value) -> bool {
        let pdu = self.event(state, act, content);
        self.check(state, &pdu).is_ok()
    }

    /// Makes an event, which must be allowed, and puts it into the state.
    pub(crate) fn set(&mut self, state: &mut StateMap, act: Act<'_>, content: Value) -> Arc<Pdu> {
        let pdu = self.event(state, act, content);
        self.check(state, &pdu).unwrap();
        self.events.insert(pdu.event_id.clone(), pdu.clone());
        if let Some(state_key) = &pdu.state_key {
            state.insert(
                (pdu.event_type.clone(), state_key.clone()),
                pdu.event_id.clone(),
            );
        }
        pdu
    }

    pub(crate) fn member(&mut self, state: &mut StateMap, by: &str, who: &str, what: &str) {
        self.set(
            state,
            Act(by, "m.room.member", Some(who)),
            json!({ "membership": what }),
        );
    }

    pub(crate) fn public(&mut self, state: &mut StateMap) {
        let act = Act(ALICE, "m.room.join_rules", Some(""));
        self.set(state, act, json!({ "join_rule": "public" }));
    }

    pub(crate) fn levels(&mut self, state: &mut StateMap, users: &[(&str, i64)]) -> Arc<Pdu> {
        let users: serde_json::Map<_, _> = users
            .iter()
            .filter(|(user, _)| !(self.version.privileges_creators() && *user == ALICE))
            .map(|(user, level)| ((*user).to_owned(), json!(level)))
            .collect();
        self.set(
            state,
            Act(ALICE, "m.room.power_levels", Some("")),
            json!({ "users": users }),
        )
    }

    pub(crate) fn get(&self, id: &EventId) -> Option<Arc<Pdu>> {
        self.events.get(id).cloned()
    }
}
