//! The packed list of changed slots.

use ganglion_model::{EventNid, SlotNid};

/// One changed slot; `None`: the slot is empty now (state resolution may drop an event).
pub type DeltaEntry = (SlotNid, Option<EventNid>);

/// The first byte of every packed delta.
const FORMAT: u8 = 1;

/// Ten groups of seven bits hold every number that [`Delta::pack`] writes.
const MAX_VARINT_BYTES: usize = 10;

/// A packed delta that cannot be read: the row is damaged or of a later release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Corrupt {
    /// The first byte is missing or unknown.
    #[error("unknown format of a packed state delta")]
    Format,
    /// The bytes end inside a number, or a number is too long.
    #[error("a number of a packed state delta is cut off or too long")]
    Number,
    /// The slots are not in ascending order.
    #[error("the slots of a packed state delta are not in ascending order")]
    Order,
    /// A link does not continue the chain above or below it.
    #[error("the links of a state chain do not belong together")]
    Chain,
}

/// Changed slots in ascending order, each at most once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Delta(Vec<DeltaEntry>);

impl Delta {
    /// Takes changes in any order; of several to one slot the last wins.
    #[must_use]
    pub fn from_changes(changes: &[DeltaEntry]) -> Self {
        let mut entries = changes.to_vec();
        // The sort is stable, so the last of equal slots is the last that was given.
        entries.sort_by_key(|(slot, _)| *slot);
        entries.reverse();
        entries.dedup_by_key(|(slot, _)| *slot);
        entries.reverse();
        Self(entries)
    }

    /// The entries, ascending by slot.
    #[must_use]
    pub fn entries(&self) -> &[DeltaEntry] {
        &self.0
    }

    /// The number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing is changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What this delta says of a slot: nothing, removed (`Some(None)`) or an event.
    #[must_use]
    pub fn get(&self, slot: SlotNid) -> Option<Option<EventNid>> {
        let index = self.0.binary_search_by_key(&slot, |(at, _)| *at).ok()?;
        self.0.get(index).map(|(_, event)| *event)
    }

    /// Both deltas as one; where they disagree, `newer` wins.
    #[must_use]
    pub fn merge(&self, newer: &Self) -> Self {
        let mut merged = Vec::with_capacity(self.len() + newer.len());
        let mut old = self.0.iter().copied().peekable();
        let mut new = newer.0.iter().copied().peekable();
        loop {
            match (old.peek(), new.peek()) {
                (Some((older, _)), Some((slot, _))) if older < slot => merged.extend(old.next()),
                (Some((older, _)), Some((slot, _))) => {
                    if older == slot {
                        old.next();
                    }
                    merged.extend(new.next());
                }
                (Some(_), None) => merged.extend(old.by_ref()),
                (None, Some(_)) => merged.extend(new.by_ref()),
                (None, None) => return Self(merged),
            }
        }
    }

    /// Without removals: right only for a delta against the empty state.
    pub(crate) fn without_removals(mut self) -> Self {
        self.0.retain(|(_, event)| event.is_some());
        self
    }

    /// The bytes of the row: format, then per entry the step to its slot and `0` for a removal or
    /// one more than the zigzagged step from the event before.
    #[must_use]
    pub fn pack(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(1 + self.len() * 5);
        out.push(FORMAT);
        let mut slot_before: Option<i64> = None;
        let mut event_before = 0_i64;
        for (slot, event) in &self.0 {
            let step = match slot_before {
                None => zigzag(slot.0),
                Some(before) => slot.0.wrapping_sub(before).cast_unsigned(),
            };
            put_varint(&mut out, u128::from(step));
            slot_before = Some(slot.0);
            match event {
                None => out.push(0),
                Some(event) => {
                    let step = zigzag(event.0.wrapping_sub(event_before));
                    put_varint(&mut out, u128::from(step) + 1);
                    event_before = event.0;
                }
            }
        }
        out
    }

    /// Reads what [`Delta::pack`] wrote. Fails on anything else and never panics.
    pub fn unpack(bytes: &[u8]) -> Result<Self, Corrupt> {
        let Some((&FORMAT, mut rest)) = bytes.split_first() else {
            return Err(Corrupt::Format);
        };
        let mut entries = Vec::with_capacity(rest.len() / 4);
        let mut slot_before: Option<i64> = None;
        let mut event_before = 0_i64;
        while !rest.is_empty() {
            let step = take_u64(take_varint(&mut rest)?)?;
            let slot = match slot_before {
                None => unzigzag(step),
                Some(_) if step == 0 => return Err(Corrupt::Order),
                Some(before) => before.checked_add_unsigned(step).ok_or(Corrupt::Order)?,
            };
            slot_before = Some(slot);
            let event = match take_varint(&mut rest)? {
                0 => None,
                number => {
                    event_before = event_before.wrapping_add(unzigzag(take_u64(number - 1)?));
                    Some(EventNid(event_before))
                }
            };
            entries.push((SlotNid(slot), event));
        }
        Ok(Self(entries))
    }
}

fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)).cast_unsigned()
}

fn unzigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
}

fn take_u64(number: u128) -> Result<u64, Corrupt> {
    u64::try_from(number).ok().ok_or(Corrupt::Number)
}

fn put_varint(out: &mut Vec<u8>, mut number: u128) {
    loop {
        let [low, ..] = number.to_le_bytes();
        number >>= 7;
        if number == 0 {
            out.push(low & 0x7f);
            return;
        }
        out.push(low | 0x80);
    }
}

fn take_varint(rest: &mut &[u8]) -> Result<u128, Corrupt> {
    let mut number = 0_u128;
    for index in 0..MAX_VARINT_BYTES {
        let (byte, after) = rest.split_first().ok_or(Corrupt::Number)?;
        *rest = after;
        number |= u128::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(Corrupt::Number)
}

#[cfg(test)]
mod tests;
