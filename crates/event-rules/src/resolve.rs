//! State resolution (room version 2 and, from version 12, 2.1) over ruma's algorithm.
//!
//! [`Resolver`] feeds it only what the forks differ in and what that leans on, and asks its caller
//! for the events it lacks.

mod graph;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use ruma::events::StateEventType;
use ruma::room_version_rules::StateResolutionV2Rules;
use ruma::state_res::utils::event_id_set::EventIdSet;
use ruma::state_res::{StateMap as RumaStateMap, resolve};
use ruma::{EventId, OwnedEventId};

use crate::auth::auth_keys;
use crate::pdu::Pdu;
use crate::version::RoomVersion;
use graph::Events;

/// An event type and a state key.
pub type StateKey = (String, String);

/// A room state.
pub type StateMap = BTreeMap<StateKey, OwnedEventId>;

/// Why states could not be resolved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// [`Resolver::run`] came before [`Resolver::needs`] was empty.
    #[error("state resolution lacks {0} events")]
    Unsupplied(usize),
    /// The events contradict each other, such as an auth event without a state key.
    #[error("state resolution failed: {0}")]
    Failed(String),
}

/// One resolution of several states of one room.
///
/// Ask [`needs`](Self::needs), [`supply`](Self::supply) the events (more than asked is fine, such as
/// whole auth chains), say [`absent`](Self::absent) of those that nobody has, repeat until nothing is
/// needed, then [`run`](Self::run), which takes CPU and belongs off the async threads.
pub struct Resolver {
    version: RoomVersion,
    rules: &'static StateResolutionV2Rules,
    unconflicted: StateMap,
    /// Of each input state the entries in which the states differ.
    forks: Vec<StateMap>,
    events: Events,
}

/// What ruma is given.
struct Plan {
    chains: Vec<EventIdSet<OwnedEventId>>,
    /// Unconflicted entries that the authorisation rules will look at.
    base: StateMap,
}

impl Resolver {
    /// For states of one room; they may be whole.
    #[must_use]
    pub fn new(version: RoomVersion, maps: Vec<StateMap>) -> Self {
        let (unconflicted, forks) = split(maps);
        let rules = version.rules().state_res.v2_rules();
        Self {
            version,
            // Every version of `RoomVersion` has them: only room version 1 has not.
            rules: rules.unwrap_or(&StateResolutionV2Rules::V2_0),
            unconflicted,
            forks,
            events: Events::default(),
        }
    }

    /// The events to supply next; empty when [`run`](Self::run) can begin.
    ///
    /// A few rounds as a rule: the events in which the states differ, their auth chains, and only if
    /// those chains differ the chains of the entries that all states share.
    #[must_use]
    pub fn needs(&self) -> Vec<OwnedEventId> {
        self.plan().err().unwrap_or_default().into_iter().collect()
    }

    /// Adds events, with their `rejected` flags set.
    pub fn supply(&mut self, events: impl IntoIterator<Item = Arc<Pdu>>) {
        for event in events {
            self.events.known.insert(event.event_id.clone(), event);
        }
    }

    /// Says that nobody has these events; the algorithm passes over them.
    pub fn absent(&mut self, events: impl IntoIterator<Item = OwnedEventId>) {
        self.events.absent.extend(events);
    }

    /// The resolved state. Fails while events are needed.
    pub fn run(&self) -> Result<StateMap, ResolveError> {
        let plan = self
            .plan()
            .map_err(|missing| ResolveError::Unsupplied(missing.len()))?;
        if self.forks.is_empty() {
            return Ok(self.unconflicted.clone());
        }
        let maps: Vec<RumaStateMap<OwnedEventId>> = self
            .forks
            .iter()
            .map(|fork| {
                let entries = fork.iter().chain(&plan.base);
                entries
                    .map(|(key, id)| (ruma_key(key), id.clone()))
                    .collect()
            })
            .collect();
        let resolved = resolve(
            &self.version.rules().authorization,
            self.rules,
            &maps,
            plan.chains,
            |id: &EventId| self.events.known.get(id).cloned(),
            |conflicted| {
                let conflicted = conflicted.values().flatten().cloned().collect();
                Some(self.events.subgraph(&conflicted).into_iter().collect())
            },
        )
        .map_err(|error| ResolveError::Failed(error.to_string()))?;
        let mut state = StateMap::new();
        for id in resolved.into_values() {
            // By the event and not by ruma's key, whose types fold aliases into one.
            if let Some(event) = self.events.known.get(&id)
                && let Some(state_key) = &event.state_key
            {
                state.insert((event.event_type.clone(), state_key.clone()), id);
            }
        }
        state.extend(
            self.unconflicted
                .iter()
                .map(|(key, id)| (key.clone(), id.clone())),
        );
        Ok(state)
    }

    /// Everything ruma needs, or the events that are lacking to say so.
    fn plan(&self) -> Result<Plan, BTreeSet<OwnedEventId>> {
        if self.forks.is_empty() {
            return Ok(Plan {
                chains: Vec::new(),
                base: StateMap::new(),
            });
        }
        let conflicted: HashSet<&OwnedEventId> =
            self.forks.iter().flat_map(BTreeMap::values).collect();
        let mut missing = BTreeSet::new();
        let mut chains: Vec<HashSet<OwnedEventId>> = self
            .forks
            .iter()
            .map(|fork| self.events.chain(fork.values(), &mut missing))
            .collect();
        self.need_create(&conflicted, &mut missing);
        if !missing.is_empty() {
            return Err(missing);
        }
        self.settle_difference(&conflicted, &mut chains)?;
        let base = self.base(&conflicted, &chains)?;
        Ok(Plan {
            chains: chains
                .into_iter()
                .map(|c| c.into_iter().collect())
                .collect(),
            base,
        })
    }

    /// Where the create event names the room, no auth chain leads to it.
    fn need_create(
        &self,
        conflicted: &HashSet<&OwnedEventId>,
        missing: &mut BTreeSet<OwnedEventId>,
    ) {
        if !self.version.room_id_is_create_hash() {
            return;
        }
        let known = conflicted.iter().find_map(|id| self.events.known.get(*id));
        let create = known
            .and_then(|event| EventId::parse(format!("${}", event.room_id.strip_sigil())).ok());
        missing.extend(create.filter(|create| self.events.unsettled(create)));
    }

    /// Makes the difference of the forks' chains that of the whole states' chains.
    ///
    /// The chain of a shared entry is in every state's chain, so an event of it is in no difference.
    /// It has to be walked only where the forks' own chains differ in more than conflicted events.
    fn settle_difference(
        &self,
        conflicted: &HashSet<&OwnedEventId>,
        chains: &mut [HashSet<OwnedEventId>],
    ) -> Result<(), BTreeSet<OwnedEventId>> {
        let union: HashSet<&OwnedEventId> = chains.iter().flatten().collect();
        let differing: HashSet<OwnedEventId> = union
            .into_iter()
            .filter(|id| !conflicted.contains(id) && !chains.iter().all(|c| c.contains(*id)))
            .cloned()
            .collect();
        if differing.is_empty() {
            return Ok(());
        }
        let mut missing = BTreeSet::new();
        let shared = self.events.chain(self.unconflicted.values(), &mut missing);
        let unsettled = differing.iter().any(|id| !shared.contains(id));
        if unsettled && !missing.is_empty() {
            return Err(missing);
        }
        for id in differing.into_iter().filter(|id| shared.contains(id)) {
            for chain in &mut *chains {
                chain.insert(id.clone());
            }
        }
        Ok(())
    }

    /// The shared entries that authorise any event that may be replayed.
    fn base(
        &self,
        conflicted: &HashSet<&OwnedEventId>,
        chains: &[HashSet<OwnedEventId>],
    ) -> Result<StateMap, BTreeSet<OwnedEventId>> {
        let mut base = StateMap::new();
        // From version 2.1 on, the replay begins with an empty state.
        if self.rules.begin_iterative_auth_checks_with_empty_state_map {
            return Ok(base);
        }
        let replayed: HashSet<&OwnedEventId> = chains
            .iter()
            .flatten()
            .chain(conflicted.iter().copied())
            .collect();
        for event in replayed
            .into_iter()
            .filter_map(|id| self.events.known.get(id))
        {
            let state_key = event.state_key.as_deref();
            let keys = auth_keys(
                &event.event_type,
                &event.sender,
                state_key,
                &event.content,
                self.version,
            );
            // A malformed event authorises nothing; ruma passes over it too.
            for key in keys.unwrap_or_default() {
                if let Some(id) = self.unconflicted.get(&key) {
                    base.insert(key, id.clone());
                }
            }
        }
        let mut missing: BTreeSet<OwnedEventId> = base
            .values()
            .filter(|id| self.events.unsettled(id))
            .cloned()
            .collect();
        // The mainline leads from the shared power levels through their predecessors.
        let levels = (StateEventType::RoomPowerLevels.to_string(), String::new());
        self.events
            .chain(base.get(&levels).into_iter(), &mut missing);
        if missing.is_empty() {
            Ok(base)
        } else {
            Err(missing)
        }
    }
}

fn ruma_key((event_type, state_key): &StateKey) -> (StateEventType, String) {
    (StateEventType::from(event_type.as_str()), state_key.clone())
}

/// The entries that all states share, and what else each one has; no forks where nothing differs.
fn split(maps: Vec<StateMap>) -> (StateMap, Vec<StateMap>) {
    let total = maps.len();
    let mut counts: HashMap<(&StateKey, &OwnedEventId), usize> = HashMap::new();
    for entry in maps.iter().flatten() {
        *counts.entry(entry).or_default() += 1;
    }
    let shared = |key: &StateKey, id: &OwnedEventId| counts.get(&(key, id)) == Some(&total);
    let mut unconflicted = StateMap::new();
    let mut forks = Vec::with_capacity(total);
    for map in &maps {
        let mut fork = StateMap::new();
        for (key, id) in map {
            match shared(key, id) {
                true => unconflicted.insert(key.clone(), id.clone()),
                false => fork.insert(key.clone(), id.clone()),
            };
        }
        forks.push(fork);
    }
    if forks.iter().all(BTreeMap::is_empty) {
        forks.clear();
    }
    (unconflicted, forks)
}

#[cfg(test)]
mod tests;
