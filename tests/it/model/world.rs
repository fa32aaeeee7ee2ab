//! What the server must have: its rooms as their creators, who never leave them, see them grow, and
//! what follows from that by the rules of the specification. Nothing here knows how it is done.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value, json};

/// A place in the order in which everything of a history happened; 0 is before all.
pub(crate) type Seq = usize;
/// Event type and state key.
pub(crate) type Key = (String, String);
/// A room's state.
pub(crate) type State<'a> = BTreeMap<Key, &'a Event>;

/// An event, with the content it has now.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) seq: Seq,
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) state_key: Option<String>,
    pub(crate) sender: String,
    pub(crate) ts: Value,
    pub(crate) content: Value,
    /// The redaction that took its content.
    pub(crate) redacted_by: Option<String>,
}

impl Event {
    /// Its place in the state, if it is a state event.
    pub(crate) fn key(&self) -> Option<Key> {
        let state_key = self.state_key.clone()?;
        Some((self.kind.clone(), state_key))
    }

    /// The membership it gives `user`.
    pub(crate) fn membership_of(&self, user: &str) -> Option<&str> {
        let is_own = self.kind == "m.room.member" && self.state_key.as_deref() == Some(user);
        is_own.then(|| self.content["membership"].as_str())?
    }

    fn sets_visibility(&self) -> Option<&str> {
        let is = self.kind == "m.room.history_visibility" && self.state_key.as_deref() == Some("");
        is.then(|| {
            self.content["history_visibility"]
                .as_str()
                .unwrap_or("shared")
        })
    }
}

/// A room.
#[derive(Debug, Clone)]
pub(crate) struct Room {
    pub(crate) id: String,
    pub(crate) version: u32,
    pub(crate) creator: String,
    /// In the order of the log.
    pub(crate) events: Vec<Event>,
}

/// A change of one user's membership: when, and what it is from then on.
pub(crate) type Change<'a> = (Seq, &'a str);

/// Everything.
#[derive(Debug, Clone, Default)]
pub(crate) struct World {
    pub(crate) rooms: Vec<Room>,
    /// User, room, when, and the last place that is forgotten.
    pub(crate) forgotten: Vec<(String, usize, Seq, Seq)>,
    /// By event: device and transaction id of its sender's request.
    pub(crate) txns: HashMap<String, (String, String)>,
    pub(crate) clock: Seq,
}

impl World {
    /// The next place.
    pub(crate) fn tick(&mut self) -> Seq {
        self.clock += 1;
        self.clock
    }

    /// Adds an event as a client sees it.
    pub(crate) fn add(&mut self, room: usize, event: &Value) {
        let text = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
        let seq = self.tick();
        let event = Event {
            seq,
            id: text("event_id"),
            kind: text("type"),
            state_key: event["state_key"].as_str().map(str::to_owned),
            sender: text("sender"),
            ts: event["origin_server_ts"].clone(),
            content: event["content"].clone(),
            redacted_by: None,
        };
        self.rooms[room].events.push(event);
    }

    /// A redaction of an event took effect.
    pub(crate) fn redact(&mut self, room: usize, target: &str, redaction: &str) {
        let version = self.rooms[room].version;
        let mut events = self.rooms[room].events.iter_mut();
        let Some(event) = events.find(|event| event.id == target && event.redacted_by.is_none())
        else {
            return;
        };
        event.redacted_by = Some(redaction.to_owned());
        event.content = redacted(&event.kind, &event.content, version);
    }

    /// A user's membership changes in a room up to `now`, without what the user has forgotten.
    pub(crate) fn changes(&self, room: usize, user: &str, now: Seq) -> Vec<Change<'_>> {
        let forgotten = self
            .forgotten
            .iter()
            .filter(|(who, of, at, _)| who == user && *of == room && *at <= now)
            .map(|(_, _, _, up_to)| *up_to)
            .max()
            .unwrap_or(0);
        let events = self.rooms[room].events.iter();
        events
            .filter(|event| event.seq <= now && event.seq > forgotten)
            .filter_map(|event| Some((event.seq, event.membership_of(user)?)))
            .collect()
    }

    /// The last membership, whatever is forgotten.
    pub(crate) fn membership(&self, room: usize, user: &str) -> Option<&str> {
        let mut events = self.rooms[room].events.iter().rev();
        events.find_map(|event| event.membership_of(user))
    }

    /// The state after everything up to `at`.
    pub(crate) fn state(&self, room: usize, at: Seq) -> State<'_> {
        let events = self.rooms[room].events.iter();
        let events = events.take_while(|event| event.seq <= at);
        events
            .filter_map(|event| Some((event.key()?, event)))
            .collect()
    }

    /// The events that `user` may see at `now` (client-server API, "Room History Visibility",
    /// "Server behaviour"), by event of the room.
    pub(crate) fn visible(&self, room: usize, user: &str, now: Seq) -> Vec<bool> {
        let changes = self.changes(room, user, now);
        let mut setting = "shared";
        let events = self.rooms[room].events.iter();
        events
            .take_while(|event| event.seq <= now)
            .map(|event| {
                let before = membership_at(&changes, event.seq - 1);
                let later = changes
                    .iter()
                    .any(|(seq, membership)| *seq >= event.seq && *membership == "join");
                let after = event.membership_of(user);
                let settings = [Some(setting), event.sets_visibility()];
                // Rules 1 to 5; for a history visibility event the one before or the one after, for
                // the user's own member event the membership before or after.
                let by_rules = settings.into_iter().flatten().any(|setting| {
                    [before, after].into_iter().flatten().any(|membership| {
                        membership == "join" || (membership == "invite" && setting == "invited")
                    }) || setting == "world_readable"
                        || (setting == "shared" && later)
                });
                // `/sync` tells of the user's own invitations, knocks, and what ends them.
                let told = after.is_some()
                    && [before, after]
                        .iter()
                        .flatten()
                        .any(|membership| ["invite", "knock", "join"].contains(membership));
                if let Some(set) = event.sets_visibility() {
                    setting = if ["world_readable", "invited", "joined"].contains(&set) {
                        set
                    } else {
                        "shared"
                    };
                }
                by_rules || told
            })
            .collect()
    }

    /// The room with this id.
    pub(crate) fn find(&self, id: &str) -> Option<usize> {
        self.rooms.iter().position(|room| room.id == id)
    }
}

/// The membership after the last change at or before `at`.
pub(crate) fn membership_at<'a>(changes: &[Change<'a>], at: Seq) -> Option<&'a str> {
    let mut before = changes.iter().rev();
    before
        .find(|(seq, _)| *seq <= at)
        .map(|(_, membership)| *membership)
}

/// What a redaction leaves of a content (room versions, "Redactions").
fn redacted(kind: &str, content: &Value, version: u32) -> Value {
    if kind == "m.room.create" && version >= 11 {
        return content.clone();
    }
    let mut kept: Vec<&str> = match kind {
        "m.room.create" => vec!["creator"],
        "m.room.member" => vec!["membership"],
        "m.room.join_rules" => vec!["join_rule"],
        "m.room.history_visibility" => vec!["history_visibility"],
        "m.room.power_levels" => vec![
            "ban",
            "events",
            "events_default",
            "kick",
            "redact",
            "state_default",
            "users",
            "users_default",
        ],
        "m.room.aliases" if version < 6 => vec!["aliases"],
        _ => Vec::new(),
    };
    match kind {
        "m.room.member" if version >= 9 => kept.push("join_authorised_via_users_server"),
        "m.room.join_rules" if version >= 8 => kept.push("allow"),
        "m.room.power_levels" if version >= 11 => kept.push("invite"),
        "m.room.redaction" if version >= 11 => kept.push("redacts"),
        _ => {}
    }
    let Some(content) = content.as_object() else {
        return json!({});
    };
    let kept = kept
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), content.get(name)?.clone())));
    Value::Object(kept.collect::<Map<String, Value>>())
}
