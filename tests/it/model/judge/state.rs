//! The state that comes with a timeline, and what a client makes of both.

use std::collections::{BTreeMap, BTreeSet};

use super::room::Of;
use super::{Base, Seen};
use crate::model::world::{Event, Key, State};

fn member_key(user: &str) -> Key {
    ("m.room.member".to_owned(), user.to_owned())
}

impl Of<'_> {
    /// Checks the state section (`state` by index) and what the client knows after it and the
    /// timeline (`shown`).
    pub(crate) fn state(
        &self,
        (shown, state): (&[usize], &[usize]),
        seen: &mut Seen,
        heroes: Option<&BTreeSet<String>>,
        wrong: &mut Vec<String>,
    ) {
        let there = self.world.state(self.room, self.place(shown));
        self.section((shown, state), &there, heroes, wrong);
        if self.stretch.base == Base::Stranger {
            return;
        }
        if self.stretch.base == Base::Whole {
            seen.state.clear();
            seen.withheld.clear();
        }
        for event in state.iter().map(|index| &self.events()[*index]) {
            let Some(key) = event.key() else { continue };
            seen.withheld.remove(&key);
            seen.state.insert(key, event.id.clone());
        }
        if !self.ask.filter.state.accepts_room(self.id()) {
            *seen = Seen {
                state: BTreeMap::new(),
                ..seen.clone()
            };
            return;
        }
        self.walk(shown, seen, wrong);
        let end = self.world.state(self.room, self.stretch.to);
        let heroes = heroes.into_iter().flatten();
        for user in heroes.filter(|_| self.ask.filter.state.lazy) {
            // "the membership events for the heroes MUST be included in the `state`, unless they
            // are redundant"
            self.knows(seen, &end, &member_key(user), "a hero", wrong);
        }
        for key in end.keys() {
            let may_lack = self.ask.filter.state.lazy && key.0 == "m.room.member";
            if !may_lack || seen.state.contains_key(key) {
                self.knows(seen, &end, key, "the state at the end", wrong);
            }
        }
    }

    /// The client must have the event that is in this place of a state.
    fn knows(
        &self,
        seen: &Seen,
        state: &State<'_>,
        key: &Key,
        what: &str,
        wrong: &mut Vec<String>,
    ) {
        let Some(event) = state.get(key) else { return };
        let filter = &self.ask.filter.state;
        let may_have_changed_sides = filter.contains_url.is_some() && event.redacted_by.is_some();
        if !filter.accepts(event) || may_have_changed_sides || seen.withheld.contains(key) {
            return;
        }
        let known = seen.state.get(key);
        if known != Some(&event.id) {
            wrong.push(format!(
                "{what}: the client has {known:?} as {key:?}, not {}",
                event.id
            ));
        }
    }

    /// Applies the timeline as a client does, which knows every sender.
    fn walk(&self, shown: &[usize], seen: &mut Seen, wrong: &mut Vec<String>) {
        let place = self.place(shown);
        let mut now = self.world.state(self.room, place);
        let lazy = self.ask.filter.state.lazy;
        if self.ask.state_after {
            for index in shown.iter().filter(|_| lazy) {
                let sender = member_key(&self.events()[*index].sender);
                self.knows(seen, &now, &sender, "a sender", wrong);
            }
            return;
        }
        for (index, event) in self.events().iter().enumerate() {
            if !self.within(index) || event.seq <= place {
                continue;
            }
            let is_shown = shown.contains(&index);
            if is_shown && lazy && event.state_key.as_ref() != Some(&event.sender) {
                self.knows(seen, &now, &member_key(&event.sender), "a sender", wrong);
            }
            let Some(key) = event.key() else { continue };
            if is_shown {
                seen.withheld.remove(&key);
                seen.state.insert(key.clone(), event.id.clone());
            } else if self.visible[index] {
                // Its own filter keeps it from the client, as the specification has it: "between
                // the time indicated by the `since` parameter, and the **start** of the `timeline`".
                seen.withheld.insert(key.clone());
            }
            now.insert(key, event);
        }
    }

    /// Checks that the section has what it must have, and nothing that is not so.
    fn section(
        &self,
        (shown, state): (&[usize], &[usize]),
        there: &State<'_>,
        heroes: Option<&BTreeSet<String>>,
        wrong: &mut Vec<String>,
    ) {
        let filter = &self.ask.filter.state;
        let listed: BTreeSet<&str> = state
            .iter()
            .map(|i| self.events()[*i].id.as_str())
            .collect();
        if listed.len() < state.len() {
            wrong.push("the state has an event twice".to_owned());
        }
        let needed = self.needed(shown, there, heroes);
        for (key, event) in there {
            let passes = filter.accepts_room(self.id()) && filter.accepts(event);
            let is_listed = listed.contains(event.id.as_str());
            if needed.contains(key) && passes && !is_listed {
                wrong.push(format!("the state lacks {key:?}: {}", event.id));
            }
            let may = passes && (needed.contains(key) || self.is_optional(key));
            if is_listed && !may {
                wrong.push(format!("the state has {key:?} needlessly: {}", event.id));
            }
        }
        for index in state {
            let event = &self.events()[*index];
            let is_there = event
                .key()
                .and_then(|key| there.get(&key))
                .map(|there| &there.id);
            if is_there != Some(&event.id) {
                wrong.push(format!(
                    "the state has {}, but at {} it is {is_there:?}",
                    self.name(*index),
                    self.place(shown)
                ));
            }
        }
    }

    /// "it is valid for the server to send redundant membership events".
    fn is_optional(&self, key: &Key) -> bool {
        self.ask.filter.state.lazy
            && key.0 == "m.room.member"
            && self.stretch.base != Base::Stranger
    }

    fn needed(
        &self,
        shown: &[usize],
        there: &State<'_>,
        heroes: Option<&BTreeSet<String>>,
    ) -> BTreeSet<Key> {
        let filter = &self.ask.filter.state;
        let senders = shown
            .iter()
            .map(|index| member_key(&self.events()[*index].sender));
        match self.stretch.base {
            Base::Stranger => BTreeSet::new(),
            Base::Whole if filter.lazy => {
                let heroes = heroes.into_iter().flatten().map(|user| member_key(user));
                let others = there.keys().filter(|key| key.0 != "m.room.member").cloned();
                let own = [member_key(self.ask.user)];
                others.chain(own).chain(senders).chain(heroes).collect()
            }
            Base::Whole => there.keys().cloned().collect(),
            Base::Since(since) => {
                let old = self.world.state(self.room, since);
                let is_new =
                    |key: &Key, event: &Event| old.get(key).is_none_or(|old| old.id != event.id);
                let changed = there.iter().filter(|(key, event)| is_new(key, event));
                let changed = changed.map(|(key, _)| key.clone());
                changed
                    .chain(senders.filter(|_| filter.lazy && filter.redundant))
                    .collect()
            }
        }
    }
}
