//! A snapshot as it is read: its rows from the bottom to the topmost parent.

use std::collections::{BTreeMap, BTreeSet};

use ganglion_model::{EventNid, SlotNid, SnapshotNid};

use crate::delta::{Corrupt, Delta};

/// The answer of a chain whose upper rows are not in memory: load this row, [`Chain::push`] it, and
/// ask again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("state snapshot {0} is not loaded")]
pub struct Needs(pub SnapshotNid);

/// One stored snapshot row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The snapshot that this row is the bottom of.
    pub nid: SnapshotNid,
    /// Its level; those of its parents are greater.
    pub level: u8,
    /// The row above; `None`: the delta is against the empty state.
    pub parent: Option<SnapshotNid>,
    /// What differs from the parent.
    pub delta: Delta,
}

impl Link {
    /// From the columns of a row. Fails where `entries` is no packed delta.
    pub fn from_row(
        nid: SnapshotNid,
        level: u8,
        parent: Option<SnapshotNid>,
        entries: &[u8],
    ) -> Result<Self, Corrupt> {
        Ok(Self {
            nid,
            level,
            parent,
            delta: Delta::unpack(entries)?,
        })
    }
}

/// One slot in which two states differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// The slot.
    pub slot: SlotNid,
    /// Its event in the first state.
    pub old: Option<EventNid>,
    /// Its event in the second state.
    pub new: Option<EventNid>,
}

/// The rows of one snapshot from the bottom up, of which the upper ones may be missing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Chain {
    links: Vec<Link>,
    unloaded: Option<SnapshotNid>,
}

impl Chain {
    /// The empty state, that of a room before its first event.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// A snapshot of which no row is loaded yet.
    #[must_use]
    pub fn unloaded(nid: SnapshotNid) -> Self {
        Self {
            links: Vec::new(),
            unloaded: Some(nid),
        }
    }

    /// From rows in order, bottom first, whole or only the lower ones. Fails where a row is not the
    /// parent of the one before, or its level is not greater.
    pub fn new(links: Vec<Link>) -> Result<Self, Corrupt> {
        let mut chain = links
            .first()
            .map_or_else(Self::empty, |link| Self::unloaded(link.nid));
        for link in links {
            chain.push(link)?;
        }
        Ok(chain)
    }

    /// Adds the row that [`Chain::missing`] names. Fails for any other.
    pub fn push(&mut self, link: Link) -> Result<(), Corrupt> {
        let rises = self.links.last().is_none_or(|last| last.level < link.level);
        if self.unloaded != Some(link.nid) || !rises {
            return Err(Corrupt::Chain);
        }
        self.unloaded = link.parent;
        self.links.push(link);
        Ok(())
    }

    /// The loaded rows, bottom first.
    #[must_use]
    pub fn links(&self) -> &[Link] {
        &self.links
    }

    /// The lowest row that is not loaded; `None`: the chain is whole.
    #[must_use]
    pub fn missing(&self) -> Option<SnapshotNid> {
        self.unloaded
    }

    /// The snapshot itself; `None` for the empty state.
    #[must_use]
    pub fn head(&self) -> Option<SnapshotNid> {
        self.links.first().map(|link| link.nid).or(self.unloaded)
    }

    /// The event in a slot. Fails where only a row that is not loaded can tell.
    pub fn get(&self, slot: SlotNid) -> Result<Option<EventNid>, Needs> {
        match self.links.iter().find_map(|link| link.delta.get(slot)) {
            Some(event) => Ok(event),
            None => self.whole().map(|()| None),
        }
    }

    /// The whole state. Fails where a row is not loaded.
    pub fn to_map(&self) -> Result<BTreeMap<SlotNid, EventNid>, Needs> {
        self.whole()?;
        let mut map = BTreeMap::new();
        for link in self.links.iter().rev() {
            for (slot, event) in link.delta.entries() {
                match event {
                    Some(event) => map.insert(*slot, *event),
                    None => map.remove(slot),
                };
            }
        }
        Ok(map)
    }

    /// The slots in which `new` differs from `old`, ascending.
    ///
    /// Walks only rows below the first one both share; slots changed there are looked up above it.
    /// Fails where such a look-up meets a row that is not loaded.
    pub fn diff(old: &Self, new: &Self) -> Result<Vec<Change>, Needs> {
        let shared: BTreeSet<_> = new.nids().collect();
        let shared = old.nids().find(|nid| shared.contains(nid));
        let mut slots = BTreeSet::new();
        for chain in [old, new] {
            if shared.is_none() {
                chain.whole()?;
            }
            for link in chain
                .links
                .iter()
                .take_while(|link| Some(link.nid) != shared)
            {
                slots.extend(link.delta.entries().iter().map(|(slot, _)| *slot));
            }
        }
        let mut changes = Vec::new();
        for slot in slots {
            let change = Change {
                slot,
                old: old.get(slot)?,
                new: new.get(slot)?,
            };
            if change.old != change.new {
                changes.push(change);
            }
        }
        Ok(changes)
    }

    fn nids(&self) -> impl Iterator<Item = SnapshotNid> {
        self.links.iter().map(|link| link.nid).chain(self.unloaded)
    }

    fn whole(&self) -> Result<(), Needs> {
        self.unloaded.map_or(Ok(()), |nid| Err(Needs(nid)))
    }
}

#[cfg(test)]
mod tests;
