//! One room in `join` or `leave`: its timeline and its summary.

use std::collections::BTreeSet;

use serde_json::Value;

use super::event::{self, Sight};
use super::{Ask, Base, Gap, Seen, Stretch, Verdict};
use crate::model::world::{Event, Seq, State, World};

/// What is judged, with what is known of it.
pub(crate) struct Of<'a> {
    pub(crate) world: &'a World,
    pub(crate) ask: &'a Ask<'a>,
    pub(crate) room: usize,
    pub(crate) stretch: Stretch,
    pub(crate) visible: Vec<bool>,
}

impl<'a> Of<'a> {
    pub(crate) fn new(world: &'a World, ask: &'a Ask<'a>, room: usize, stretch: Stretch) -> Self {
        Self {
            world,
            ask,
            room,
            stretch,
            visible: world.visible(room, ask.user, ask.now),
        }
    }

    pub(crate) fn events(&self) -> &'a [Event] {
        &self.world.rooms[self.room].events
    }

    pub(crate) fn id(&self) -> &'a str {
        &self.world.rooms[self.room].id
    }

    /// What is wrong with the room's object; `seen` becomes what the client knows with it.
    pub(crate) fn judge(&self, found: &Value, seen: &mut Seen, joined: bool) -> Verdict {
        let mut verdict = Verdict::default();
        let sight = Sight {
            world: self.world,
            ask: self.ask,
            room: self.room,
            visible: &self.visible,
        };
        let wrong = &mut verdict.complaints;
        let shown = event::list(&sight, &found["timeline"]["events"], true, wrong);
        let timeline = &found["timeline"];
        verdict.gaps.extend(self.timeline(timeline, &shown, wrong));
        let name = match self.ask.state_after {
            true => "state_after",
            false => "state",
        };
        let other = if name == "state" {
            "state_after"
        } else {
            "state"
        };
        if !found[other].is_null() || (found[name].is_null() && found.get("timeline").is_some()) {
            wrong.push(format!("the state is in {other}, not in {name}"));
        }
        let state = event::list(&sight, &found[name]["events"], false, wrong);
        verdict.events = shown.len() + state.len();
        let heroes = heroes(&found["summary"]);
        if joined {
            self.summary(&found["summary"], seen, wrong);
        }
        self.state((&shown, &state), seen, heroes.as_ref(), wrong);
        verdict
    }

    /// Checks which events are shown; what was left out.
    fn timeline(&self, found: &Value, shown: &[usize], wrong: &mut Vec<String>) -> Option<Gap> {
        let filter = &self.ask.filter.timeline;
        let wanted: Vec<usize> = (0..self.events().len())
            .filter(|index| self.within(*index) && self.visible[*index])
            .filter(|index| {
                filter.accepts_room(self.id()) && filter.accepts(&self.events()[*index])
            })
            .collect();
        if !wanted.ends_with(shown) {
            let ids = |list: &[usize]| -> String {
                let ids = list.iter().map(|index| self.name(*index));
                ids.collect::<Vec<_>>().join(", ")
            };
            wrong.push(format!(
                "the timeline is [{}], not the end of [{}]",
                ids(shown),
                ids(&wanted)
            ));
            return None;
        }
        let (rest, _) = wanted.split_at(wanted.len() - shown.len());
        let limited = found["limited"] == true;
        let limit = self.ask.filter.limit();
        if shown.len() > limit {
            wrong.push(format!("{} events for a limit of {limit}", shown.len()));
        }
        if limited == rest.is_empty() {
            let what = if limited {
                "though nothing is"
            } else {
                "though something is"
            };
            wrong.push(format!(
                "limited is {limited}, {what} left out: {}",
                rest.len()
            ));
            return None;
        }
        if shown.len() < limit && limited && !self.is_torn(rest, shown) {
            let (shown, rest) = (shown.len(), rest.len());
            wrong.push(format!(
                "{shown} of {limit} events, and {rest} more are there"
            ));
        }
        let Some(prev_batch) = found["prev_batch"].as_str() else {
            if limited {
                wrong.push("limited without prev_batch".to_owned());
            }
            return None;
        };
        Some(Gap {
            room: self.id().to_owned(),
            prev_batch: prev_batch.to_owned(),
            to_since: self.stretch.after > 0,
            events: rest
                .iter()
                .map(|index| self.events()[*index].id.clone())
                .collect(),
        })
        .filter(|_| limited && self.stretch.base != Base::Stranger)
    }

    /// Whether a state event that the user may not see lies between what was left out and what is
    /// shown: a client cannot rebuild the state across it.
    fn is_torn(&self, rest: &[usize], shown: &[usize]) -> bool {
        let from = rest.last().map_or(0, |index| index + 1);
        let to = shown.first().copied().unwrap_or(self.events().len());
        (from..to)
            .filter(|index| self.within(*index))
            .any(|index| !self.visible[index] && self.events()[index].state_key.is_some())
    }

    pub(crate) fn within(&self, index: usize) -> bool {
        let seq = self.events()[index].seq;
        seq > self.stretch.after && seq <= self.stretch.to
    }

    /// An event for who reads a complaint.
    pub(crate) fn name(&self, index: usize) -> String {
        let event = &self.events()[index];
        let key = event
            .state_key
            .as_ref()
            .map(|key| format!("/{key}"))
            .unwrap_or_default();
        let mut id = event.id.clone();
        id.truncate(7);
        let kind = event.kind.trim_start_matches("m.room.");
        format!("{}:{kind}{key} {id}", event.seq)
    }

    /// The counts and heroes (`RoomSummary`).
    fn summary(&self, found: &Value, seen: &mut Seen, wrong: &mut Vec<String>) {
        let state = self.world.state(self.room, self.stretch.to);
        if self.stretch.base == Base::Whole {
            (seen.joined, seen.invited, seen.heroes) = (None, None, None);
        }
        let count = |membership: &str| {
            let of = members(&state, &[membership]);
            u64::try_from(of.len()).unwrap_or(u64::MAX)
        };
        for (name, known, is) in [
            ("m.joined_member_count", &mut seen.joined, count("join")),
            ("m.invited_member_count", &mut seen.invited, count("invite")),
        ] {
            *known = found[name].as_u64().or(*known);
            // "If this field has not changed since the last sync, it may be omitted. Required
            // otherwise."
            if *known != Some(is) {
                wrong.push(format!("{name} is {known:?}, not {is}"));
            }
        }
        let text = |kind: &str, name: &str| {
            let event = state.get(&(kind.to_owned(), String::new()));
            event
                .and_then(|event| event.content[name].as_str())
                .is_some_and(|text| !text.is_empty())
        };
        if let Some(heroes) = heroes(found) {
            seen.heroes = Some(heroes);
        }
        if text("m.room.name", "name") || text("m.room.canonical_alias", "alias") {
            return;
        }
        let mut expected = members(&state, &["join", "invite"]);
        expected.retain(|user| user != self.ask.user);
        if expected.is_empty() {
            expected = members(&state, &["leave", "ban"]);
            expected.retain(|user| user != self.ask.user);
        }
        // There are never more than five others.
        if seen.heroes.as_ref() != Some(&expected) {
            wrong.push(format!(
                "the heroes are {:?}, not {expected:?}",
                seen.heroes
            ));
        }
    }

    /// The state that is told goes with this place.
    pub(crate) fn place(&self, shown: &[usize]) -> Seq {
        match shown.first() {
            Some(first) if !self.ask.state_after => self.events()[*first].seq - 1,
            _ => self.stretch.to,
        }
    }
}

fn members(state: &State<'_>, memberships: &[&str]) -> BTreeSet<String> {
    let members = state.iter().filter(|(key, event)| {
        let membership = event.content["membership"].as_str();
        key.0 == "m.room.member" && membership.is_some_and(|m| memberships.contains(&m))
    });
    members.map(|(key, _)| key.1.clone()).collect()
}

fn heroes(summary: &Value) -> Option<BTreeSet<String>> {
    let heroes = summary["m.heroes"].as_array()?;
    Some(
        heroes
            .iter()
            .filter_map(|id| Some(id.as_str()?.to_owned()))
            .collect(),
    )
}
