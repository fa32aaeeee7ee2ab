//! Walks over auth events.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use ruma::{EventId, OwnedEventId};

use crate::pdu::Pdu;

/// The events at hand, and those that nobody has.
#[derive(Default)]
pub(super) struct Events {
    pub(super) known: HashMap<OwnedEventId, Arc<Pdu>>,
    pub(super) absent: HashSet<OwnedEventId>,
}

impl Events {
    /// Whether an event is neither at hand nor known to be absent.
    pub(super) fn unsettled(&self, id: &EventId) -> bool {
        !self.known.contains_key(id) && !self.absent.contains(id)
    }

    /// The auth chain of `roots` as far as it is at hand; what it lacks goes to `missing`.
    pub(super) fn chain<'a>(
        &'a self,
        roots: impl Iterator<Item = &'a OwnedEventId>,
        missing: &mut BTreeSet<OwnedEventId>,
    ) -> HashSet<OwnedEventId> {
        let mut chain: HashSet<&OwnedEventId> = HashSet::new();
        let mut todo: Vec<&OwnedEventId> = roots.collect();
        while let Some(id) = todo.pop() {
            match self.known.get(id) {
                Some(event) => {
                    todo.extend(event.auth_events.iter().filter(|auth| chain.insert(*auth)));
                }
                None if self.absent.contains(id) => {}
                None => {
                    missing.insert(id.clone());
                }
            }
        }
        chain.into_iter().cloned().collect()
    }

    /// The conflicted state subgraph (room version 12, "State resolution"): every event on a path of
    /// auth events between two conflicted ones, and these themselves.
    pub(super) fn subgraph(&self, conflicted: &HashSet<OwnedEventId>) -> HashSet<OwnedEventId> {
        let mut reachable = self.chain(conflicted.iter(), &mut BTreeSet::new());
        reachable.extend(conflicted.iter().cloned());
        let mut citing: HashMap<&OwnedEventId, Vec<&OwnedEventId>> = HashMap::new();
        for id in &reachable {
            for auth in self
                .known
                .get(id)
                .into_iter()
                .flat_map(|event| &event.auth_events)
            {
                citing.entry(auth).or_default().push(id);
            }
        }
        let mut subgraph: HashSet<OwnedEventId> = conflicted.clone();
        let mut todo: Vec<&OwnedEventId> = conflicted.iter().collect();
        while let Some(id) = todo.pop() {
            for above in citing.get(id).into_iter().flatten() {
                if subgraph.insert((*above).clone()) {
                    todo.push(above);
                }
            }
        }
        subgraph
    }
}
