//! What clients are told. All of it is done under the one lock, so each look is bounded.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::ops::RangeFrom;

use ganglion_model::{RoomNid, SoftPlace, UserNid};

use super::{Asking, People, Person, Shown};

/// Users told of in one response; the rest comes with the next.
const MOST_TOLD: usize = 500;
/// Users looked at for one response.
const MOST_LOOKED_AT: usize = 10_000;
/// Changes looked at before a request waits.
const MOST_BEFORE_WAITING: usize = 1_000;

/// The changes behind a place. A place comes from a token, which may hold any number.
fn behind(place: i64) -> RangeFrom<(i64, UserNid)> {
    (place.saturating_add(1), UserNid(i64::MIN))..
}

impl People {
    /// True if somebody may have changed after this place.
    pub(in crate::presence) fn has_changed(&self, since: SoftPlace) -> bool {
        let last = self.changes.last().map(|(at, _)| *at);
        let known = self.applied.known(since);
        known.is_none_or(|known| last > Some(known))
    }

    /// True if somebody else who is in one of these rooms, which are in order, has changed after this
    /// place, or too many have changed to tell.
    pub(in crate::presence) fn has_changed_in(
        &self,
        since: SoftPlace,
        user: UserNid,
        rooms: &[RoomNid],
    ) -> bool {
        let Some(known) = self.applied.known(since) else {
            return true;
        };
        let mut later = self.changes.range(behind(known));
        let concerns = |(_, other): &(i64, UserNid)| {
            let person = self.people.get(other);
            *other != user && person.is_some_and(|person| person.shares(rooms))
        };
        later.by_ref().take(MOST_BEFORE_WAITING).any(concerns) || later.next().is_some()
    }

    /// What a client is told, and the place for its token.
    pub(in crate::presence) fn told(&self, asking: &Asking<'_>) -> (Vec<Shown>, SoftPlace) {
        let mut now = self.applied.now(asking.since.unwrap_or_default());
        let limit = asking.limit.min(MOST_TOLD);
        let known = asking.since.and_then(|since| self.applied.known(since));
        let told = match known {
            Some(known) => {
                let (mut told, rest) = self.changed(asking, known, limit);
                // The rest comes with the next response.
                now.at = rest.unwrap_or(now.at);
                self.add_new(asking, limit, &mut told);
                told
            }
            None => self.all(asking, limit),
        };
        let clock = self.now_ms();
        let shown = told.iter().map(|(_, person)| person.show(clock)).collect();
        (shown, now)
    }

    /// Who has changed after a place; also the place up to which that is so, if it is not all.
    fn changed(
        &self,
        asking: &Asking<'_>,
        known: i64,
        limit: usize,
    ) -> (Vec<(UserNid, &Person)>, Option<i64>) {
        let mut told = Vec::new();
        for (looked_at, (at, user)) in (1..).zip(self.changes.range(behind(known))) {
            let person = self.people.get(user).filter(|_| *user != asking.user);
            let person = person.filter(|person| person.shares(asking.rooms));
            told.extend(person.map(|person| (*user, person)));
            if told.len() >= limit || looked_at >= MOST_LOOKED_AT {
                return (told, Some(*at));
            }
        }
        (told, None)
    }

    /// Adds who is there in the rooms that are new to the client.
    fn add_new<'a>(
        &'a self,
        asking: &Asking<'_>,
        limit: usize,
        told: &mut Vec<(UserNid, &'a Person)>,
    ) {
        let known: HashSet<UserNid> = told.iter().map(|(user, _)| *user).collect();
        let new = self.present(asking, asking.new_rooms);
        let new = new.filter(|(user, _)| !known.contains(user));
        told.extend(new.take(limit));
    }

    /// Who is there; the most present first.
    fn all(&self, asking: &Asking<'_>, limit: usize) -> Vec<(UserNid, &Person)> {
        let mut told: Vec<_> = self.present(asking, asking.rooms).collect();
        told.sort_by_key(|(user, person)| {
            (Reverse((person.derived.state, person.changed_at)), *user)
        });
        if asking.since.is_some() && told.len() < limit {
            // With a token that means nothing here the client may believe that they are there.
            let latest = self.changes.iter().rev().take(MOST_LOOKED_AT);
            let people = latest.filter_map(|(_, user)| Some((*user, self.people.get(user)?)));
            told.extend(people.filter(|(user, person)| {
                *user != asking.user && !person.is_present() && person.shares(asking.rooms)
            }));
        }
        told.truncate(limit);
        told
    }

    /// Who else is not offline in some rooms, as far as it is looked for.
    fn present(
        &self,
        asking: &Asking<'_>,
        rooms: &[RoomNid],
    ) -> impl Iterator<Item = (UserNid, &Person)> + use<'_> {
        let user = asking.user;
        let found = self.present.in_rooms(rooms, MOST_LOOKED_AT).into_iter();
        let others = found.filter(move |other| *other != user);
        others.filter_map(|other| Some((other, self.people.get(&other)?)))
    }
}
