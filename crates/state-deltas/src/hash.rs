//! A hash by which equal states are found, whatever the order of their making.

use std::collections::BTreeMap;

use ganglion_model::{EventNid, SlotNid};
use sha2::{Digest, Sha256};

/// The sum, modulo 2^128, of the first 16 bytes of SHA-256 over each entry's slot and event.
///
/// An equal hash is a candidate, not a proof: the one who shares a snapshot compares the states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StateHash(pub [u8; 16]);

impl StateHash {
    /// The hash of the empty state.
    pub const EMPTY: Self = Self([0; 16]);

    /// The hash of a whole state.
    #[must_use]
    pub fn of(state: &BTreeMap<SlotNid, EventNid>) -> Self {
        state.iter().fold(Self::EMPTY, |hash, (slot, event)| {
            hash.insert(*slot, *event)
        })
    }

    /// With an entry that was not there.
    #[must_use]
    pub fn insert(self, slot: SlotNid, event: EventNid) -> Self {
        Self(self.sum().wrapping_add(entry(slot, event)).to_be_bytes())
    }

    /// Without an entry that was there.
    #[must_use]
    pub fn remove(self, slot: SlotNid, event: EventNid) -> Self {
        Self(self.sum().wrapping_sub(entry(slot, event)).to_be_bytes())
    }

    /// With another event in a slot.
    #[must_use]
    pub fn replace(self, slot: SlotNid, old: EventNid, new: EventNid) -> Self {
        self.remove(slot, old).insert(slot, new)
    }

    fn sum(self) -> u128 {
        u128::from_be_bytes(self.0)
    }
}

fn entry(slot: SlotNid, event: EventNid) -> u128 {
    let mut hasher = Sha256::new();
    hasher.update(slot.0.to_be_bytes());
    hasher.update(event.0.to_be_bytes());
    let digest: [u8; 32] = hasher.finalize().into();
    digest
        .iter()
        .take(16)
        .fold(0, |number, byte| (number << 8) | u128::from(*byte))
}

/// The two columns that tell of the whole state: its hash and its number of entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// The order-independent hash.
    pub hash: StateHash,
    /// The number of entries.
    pub len: u64,
}

impl Summary {
    /// That of the empty state.
    pub const EMPTY: Self = Self {
        hash: StateHash::EMPTY,
        len: 0,
    };

    /// That of a whole state.
    #[must_use]
    pub fn of(state: &BTreeMap<SlotNid, EventNid>) -> Self {
        let change = |summary: Self, (slot, event): (&SlotNid, &EventNid)| {
            summary.change(*slot, None, Some(*event))
        };
        state.iter().fold(Self::EMPTY, change)
    }

    /// After one slot went from `old` to `new`; `old` must be what the state held.
    #[must_use]
    pub fn change(self, slot: SlotNid, old: Option<EventNid>, new: Option<EventNid>) -> Self {
        let Self { mut hash, mut len } = self;
        if let Some(old) = old {
            hash = hash.remove(slot, old);
            len = len.saturating_sub(1);
        }
        if let Some(new) = new {
            hash = hash.insert(slot, new);
            len = len.saturating_add(1);
        }
        Self { hash, len }
    }
}

#[cfg(test)]
mod tests;
