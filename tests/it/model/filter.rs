//! Filters, and what they let pass.

use rand::Rng as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use serde_json::{Map, Value, json};

use super::world::Event;

/// A `RoomEventFilter`.
#[derive(Debug, Clone, Default)]
pub(crate) struct EventFilter {
    pub(crate) limit: Option<usize>,
    pub(crate) types: Option<Vec<String>>,
    pub(crate) not_types: Vec<String>,
    pub(crate) senders: Option<Vec<String>>,
    pub(crate) not_senders: Vec<String>,
    pub(crate) not_rooms: Vec<String>,
    pub(crate) contains_url: Option<bool>,
    pub(crate) lazy: bool,
    pub(crate) redundant: bool,
}

/// The parts of a `RoomFilter` that matter here.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filter {
    pub(crate) rooms: Option<Vec<String>>,
    pub(crate) not_rooms: Vec<String>,
    pub(crate) include_leave: bool,
    pub(crate) state: EventFilter,
    pub(crate) timeline: EventFilter,
}

impl EventFilter {
    /// As a client sends it.
    pub(crate) fn json(&self) -> Value {
        let mut filter = Map::new();
        let mut put = |name: &str, value: Value| filter.insert(name.to_owned(), value);
        if let Some(limit) = self.limit {
            put("limit", json!(limit));
        }
        if let Some(types) = &self.types {
            put("types", json!(types));
        }
        if let Some(senders) = &self.senders {
            put("senders", json!(senders));
        }
        let lists = [
            ("not_types", &self.not_types),
            ("not_senders", &self.not_senders),
            ("not_rooms", &self.not_rooms),
        ];
        for (name, list) in lists.into_iter().filter(|(_, list)| !list.is_empty()) {
            put(name, json!(list));
        }
        if let Some(url) = self.contains_url {
            put("contains_url", json!(url));
        }
        if self.lazy {
            put("lazy_load_members", json!(true));
        }
        if self.redundant {
            put("include_redundant_members", json!(true));
        }
        Value::Object(filter)
    }

    /// Whether it lets the event pass.
    pub(crate) fn accepts(&self, event: &Event) -> bool {
        let typed = |pattern: &String| glob(pattern, &event.kind);
        let url = event.content.get("url").is_some();
        self.types
            .as_ref()
            .is_none_or(|types| types.iter().any(typed))
            && !self.not_types.iter().any(typed)
            && self
                .senders
                .as_ref()
                .is_none_or(|only| only.contains(&event.sender))
            && !self.not_senders.contains(&event.sender)
            && self.contains_url.is_none_or(|wanted| wanted == url)
    }

    /// Whether it lets the room pass.
    pub(crate) fn accepts_room(&self, room: &str) -> bool {
        !self.not_rooms.iter().any(|id| id == room)
    }
}

impl Filter {
    /// As a client sends it.
    pub(crate) fn json(&self) -> Value {
        let mut room = json!({
            "include_leave": self.include_leave,
            "state": self.state.json(),
            "timeline": self.timeline.json(),
        });
        if let Some(rooms) = &self.rooms {
            room["rooms"] = json!(rooms);
        }
        if !self.not_rooms.is_empty() {
            room["not_rooms"] = json!(self.not_rooms);
        }
        json!({"room": room})
    }

    /// Whether it lets the room pass at all.
    pub(crate) fn accepts_room(&self, room: &str) -> bool {
        let is = |id: &String| id == room;
        self.rooms.as_ref().is_none_or(|rooms| rooms.iter().any(is))
            && !self.not_rooms.iter().any(is)
    }

    /// The most events of a timeline: what is asked for, 10 if nothing is.
    pub(crate) fn limit(&self) -> usize {
        self.timeline.limit.unwrap_or(10)
    }

    /// A random one, for one of `users` and with one of `rooms`.
    pub(crate) fn random(rng: &mut StdRng, users: &[String], rooms: &[String]) -> Self {
        let mut filter = Self {
            include_leave: rng.random_bool(0.4),
            ..Self::default()
        };
        if rng.random_bool(0.8) {
            filter.timeline.limit = Some(rng.random_range(1..=20));
        }
        if rng.random_bool(0.45) {
            filter.state.lazy = true;
            filter.state.redundant = rng.random_bool(0.3);
        }
        if rng.random_bool(0.35) {
            narrow(rng, &mut filter.timeline, users, rooms);
        }
        if rng.random_bool(0.2) {
            narrow(rng, &mut filter.state, users, rooms);
        }
        if rng.random_bool(0.1) {
            filter.not_rooms.extend(rooms.choose(rng).cloned());
        }
        if rng.random_bool(0.05) {
            filter.rooms = Some(rooms.choose(rng).into_iter().cloned().collect());
        }
        filter
    }
}

const PATTERNS: [&str; 9] = [
    "m.room.message",
    "m.room.*",
    "m.*.member",
    "org.example.*",
    "*",
    "m.room.topic",
    "m.room.member",
    "*.thing",
    "m.room.redaction",
];

fn narrow(rng: &mut StdRng, filter: &mut EventFilter, users: &[String], rooms: &[String]) {
    let some = |rng: &mut StdRng, from: &[String]| -> Vec<String> {
        let count = rng.random_range(1..=2);
        from.choose_multiple(rng, count).cloned().collect()
    };
    let patterns = PATTERNS.map(str::to_owned);
    for _ in 0..rng.random_range(1..=2) {
        match rng.random_range(0..6) {
            0 => filter.types = Some(some(rng, &patterns)),
            1 => filter.not_types = some(rng, &patterns[5..]),
            2 => filter.senders = Some(some(rng, users)),
            3 => filter.not_senders = some(rng, users),
            4 => filter.contains_url = Some(rng.random_bool(0.5)),
            _ => filter.not_rooms.extend(rooms.choose(rng).cloned()),
        }
    }
}

/// `*` stands for any sequence of characters.
fn glob(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, rest)) => text.strip_prefix(start).is_some_and(|left| {
            let places = left.char_indices().map(|(at, _)| at).chain([left.len()]);
            places
                .filter_map(|at| left.get(at..))
                .any(|left| glob(rest, left))
        }),
    }
}
