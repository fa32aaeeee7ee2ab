//! Which row a change of state writes.

use std::collections::BTreeMap;

use ganglion_model::{EventNid, SlotNid, SnapshotNid};

use crate::chain::{Chain, Needs};
use crate::delta::{Delta, DeltaEntry};

/// The entries of level 0, and the factor from each level to the next.
pub const BASE: usize = 16;

/// The most entries a row of this level holds: 16, 256, 4096, ...
#[must_use]
pub fn capacity(level: u8) -> usize {
    BASE.saturating_pow(u32::from(level) + 1)
}

/// A snapshot row to be written; its `entries` column is `delta.pack()`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewLink {
    /// Its level.
    pub level: u8,
    /// The row above.
    pub parent: Option<SnapshotNid>,
    /// What differs from the parent.
    pub delta: Delta,
}

/// The row for `chain` with `changes` applied (of several to one slot the last wins).
///
/// Merges the rows of the lowest level whose capacity holds the outcome, and all below it. So level
/// `n` is rewritten once per `16^n` changes, and each level costs about 8 entries per change. Fails
/// where it has to know a row that is not loaded.
pub fn next(chain: &Chain, changes: &[DeltaEntry]) -> Result<NewLink, Needs> {
    let mut links = chain.links().iter().peekable();
    let mut delta = Delta::from_changes(changes);
    let mut parent = chain.head();
    let mut level = 0_u8;
    loop {
        while let Some(link) = links.next_if(|link| link.level <= level) {
            delta = link.delta.merge(&delta);
            parent = link.parent;
        }
        if links.peek().is_none() {
            match chain.missing() {
                // The level of the missing row is greater than that of the row below it.
                Some(missing) if chain.links().last().is_none_or(|last| last.level < level) => {
                    return Err(Needs(missing));
                }
                Some(_) => {}
                None => delta = delta.without_removals(),
            }
        }
        if delta.len() <= capacity(level) {
            return Ok(NewLink {
                level,
                parent,
                delta,
            });
        }
        level += 1;
    }
}

/// The row for a whole state that has no relatives, such as that of a freshly joined room.
#[must_use]
pub fn from_full(state: &BTreeMap<SlotNid, EventNid>) -> NewLink {
    let entries: Vec<DeltaEntry> = state
        .iter()
        .map(|(slot, event)| (*slot, Some(*event)))
        .collect();
    let mut level = 0_u8;
    while capacity(level) < entries.len() {
        level += 1;
    }
    NewLink {
        level,
        parent: None,
        delta: Delta::from_changes(&entries),
    }
}
