//! Compares an answer of `/sync` with what the client must be told by the model.

mod event;
mod room;
mod state;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::filter::Filter;
use super::world::{Change, Event, Key, Seq, World, membership_at};

/// A request, with the places in the history that it goes from and to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ask<'a> {
    pub(crate) user: &'a str,
    pub(crate) device: &'a str,
    pub(crate) filter: &'a Filter,
    pub(crate) since: Option<Seq>,
    pub(crate) now: Seq,
    pub(crate) full_state: bool,
    pub(crate) state_after: bool,
}

/// What a client knows of a room.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    pub(crate) state: BTreeMap<Key, String>,
    /// Of these its own filter has kept something from it.
    pub(crate) withheld: BTreeSet<Key>,
    pub(crate) joined: Option<u64>,
    pub(crate) invited: Option<u64>,
    pub(crate) heroes: Option<BTreeSet<String>>,
}

/// What a client knows: by room id.
pub(crate) type Known = BTreeMap<String, Seen>;

/// A part of a timeline that was left out, to be found behind `prev_batch`.
#[derive(Debug, Clone)]
pub(crate) struct Gap {
    pub(crate) room: String,
    pub(crate) prev_batch: String,
    /// It ends at the token of the request; else at the room's beginning.
    pub(crate) to_since: bool,
    /// The oldest first.
    pub(crate) events: Vec<String>,
}

/// What is to be said of an answer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Verdict {
    /// What is wrong.
    pub(crate) complaints: Vec<String>,
    pub(crate) gaps: Vec<Gap>,
    /// Events that were compared.
    pub(crate) events: usize,
}

/// What must be told of a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    Nothing,
    Join(Stretch),
    Invite(Seq),
    Knock(Seq),
    Leave(Stretch),
    /// Nothing, or that what the client never heard of is over.
    MaybeLeave(Stretch),
}

/// The part of a room's history that is told, and what the client is known to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stretch {
    pub(crate) after: Seq,
    pub(crate) to: Seq,
    pub(crate) base: Base,
}

/// Where the state is told from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Base {
    Whole,
    Since(Seq),
    /// The user has never been in the room.
    Stranger,
}

/// Everything that is wrong with an answer; `known` becomes what the client knows with it.
pub(crate) fn judge(world: &World, ask: &Ask<'_>, known: &mut Known, answer: &Value) -> Verdict {
    let mut verdict = Verdict::default();
    for name in ["join", "invite", "knock", "leave"] {
        let rooms = answer["rooms"][name].as_object();
        for id in rooms.into_iter().flat_map(|rooms| rooms.keys()) {
            if world.find(id).is_none() {
                let complaint = format!("{id}: an unknown room in {name}");
                verdict.complaints.push(complaint);
            }
        }
    }
    if ask.since.is_none() {
        known.clear();
    }
    for (index, room) in world.rooms.iter().enumerate() {
        let told = told(ask, &room.id, &world.changes(index, ask.user, ask.now));
        let mut complain = |what: String| {
            let complaint = format!("room {index} {} ({told:?}): {what}", room.id);
            verdict.complaints.push(complaint);
        };
        let mut sections = Vec::new();
        for name in ["join", "invite", "knock", "leave"] {
            let found = &answer["rooms"][name][&room.id];
            if !found.is_null() {
                sections.push((name, found));
            }
        }
        let found = match (&sections[..], wanted(told)) {
            ([], _) if !must_be_told(world, ask, (index, told), known) => continue,
            ([], _) => {
                complain("nothing is told".to_owned());
                continue;
            }
            ([(name, found)], Some(wanted)) if *name == wanted => *found,
            (sections, wanted) => {
                let names: Vec<&str> = sections.iter().map(|(name, _)| *name).collect();
                complain(format!("it is in {names:?}, not in {wanted:?}"));
                continue;
            }
        };
        match told {
            Told::Invite(at) | Told::Knock(at) => {
                for complaint in event::stripped(world, ask, (index, at), found) {
                    complain(complaint);
                }
                known.remove(&room.id);
            }
            Told::Join(stretch) | Told::Leave(stretch) | Told::MaybeLeave(stretch) => {
                let joined = matches!(told, Told::Join(_));
                let seen = known.entry(room.id.clone()).or_default();
                let of = room::Of::new(world, ask, index, stretch);
                let one = of.judge(found, seen, joined);
                one.complaints.into_iter().for_each(&mut complain);
                verdict.gaps.extend(one.gaps);
                verdict.events += one.events;
                if !joined {
                    known.remove(&room.id);
                }
            }
            Told::Nothing => {}
        }
    }
    verdict
}

fn wanted(told: Told) -> Option<&'static str> {
    match told {
        Told::Nothing => None,
        Told::Join(_) => Some("join"),
        Told::Invite(_) => Some("invite"),
        Told::Knock(_) => Some("knock"),
        Told::Leave(_) | Told::MaybeLeave(_) => Some("leave"),
    }
}

/// Whether a room that is told of nowhere had to be.
fn must_be_told(
    world: &World,
    ask: &Ask<'_>,
    (room, told): (usize, Told),
    known: &mut Known,
) -> bool {
    match told {
        Told::Nothing | Told::MaybeLeave(_) => false,
        Told::Invite(_) | Told::Knock(_) | Told::Leave(_) => true,
        Told::Join(stretch) => {
            // An empty room object says the same as none.
            let empty = serde_json::json!({});
            let seen = known.entry(world.rooms[room].id.clone()).or_default();
            stretch.base == Base::Whole
                || !room::Of::new(world, ask, room, stretch)
                    .judge(&empty, seen, true)
                    .complaints
                    .is_empty()
        }
    }
}

/// What must be told, by the user's membership changes alone.
fn told(ask: &Ask<'_>, room: &str, changes: &[Change<'_>]) -> Told {
    let Some((current_seq, current)) = changes.last().copied() else {
        return Told::Nothing;
    };
    if !ask.filter.accepts_room(room) {
        return Told::Nothing;
    }
    let since = ask.since.unwrap_or(0);
    let before = membership_at(changes, since);
    let within = |after: Seq, to: Seq| changes.iter().filter(move |c| c.0 > after && c.0 <= to);
    let stayed = |to: Seq| before == Some("join") && within(since, to).all(|c| c.1 == "join");
    let stretch = |stayed: bool, to: Seq| {
        let known = stayed && ask.since.is_some();
        Stretch {
            after: if known { since } else { 0 },
            to,
            base: if known && !ask.full_state {
                Base::Since(since)
            } else {
                Base::Whole
            },
        }
    };
    let is_new = current_seq > since;
    match current {
        "join" => Told::Join(stretch(stayed(ask.now), ask.now)),
        "invite" if is_new => Told::Invite(current_seq),
        "knock" if is_new => Told::Knock(current_seq),
        "leave" | "ban" => left(ask, changes, stretch, stayed),
        _ => Told::Nothing,
    }
}

fn left(
    ask: &Ask<'_>,
    changes: &[Change<'_>],
    stretch: impl Fn(bool, Seq) -> Stretch,
    stayed: impl Fn(Seq) -> bool,
) -> Told {
    let since = ask.since.unwrap_or(0);
    let join = changes
        .iter()
        .rposition(|(_, membership)| *membership == "join");
    let end = join
        .and_then(|join| changes.get(join + 1))
        .map(|(seq, _)| *seq);
    match end {
        // "The timeline of messages and state changes in the room up to the point when the user
        // left."
        Some(end) if end > since && ask.since.is_some() => {
            return Told::Leave(stretch(stayed(end - 1), end));
        }
        Some(end) if ask.since.is_none() && ask.filter.include_leave => {
            return Told::Leave(stretch(false, end));
        }
        _ => {}
    }
    if ask.since.is_none() {
        return Told::Nothing;
    }
    let pending = |membership: &str| membership == "invite" || membership == "knock";
    let pairs = changes.windows(2).rev();
    let over = pairs
        .filter(|pair| pair[1].0 > since)
        .find(|pair| pending(pair[0].1) && !pending(pair[1].1));
    match over {
        Some(pair) => {
            let to = pair[1].0;
            let stretch = Stretch {
                after: since,
                to,
                base: Base::Stranger,
            };
            let known = membership_at(changes, since).is_some_and(pending);
            if known {
                Told::Leave(stretch)
            } else {
                Told::MaybeLeave(stretch)
            }
        }
        None => Told::Nothing,
    }
}

/// The complaint about an event that is not in the model.
pub(crate) fn find<'a>(events: &'a [Event], id: &Value) -> Result<&'a Event, String> {
    let found = events
        .iter()
        .find(|event| Some(event.id.as_str()) == id.as_str());
    found.ok_or_else(|| format!("{id} is not an event of this room"))
}
