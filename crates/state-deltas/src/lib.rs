//! Room states as levelled deltas.
//!
//! A room state maps slots (interned pairs of event type and state key) to events. A stored snapshot
//! is one row: a packed [`Delta`] against its parent, the last snapshot of a level above. Level `n`
//! holds up to [`capacity`]`(n)` entries, so a change rewrites a short list nearly always, a long one
//! rarely, and a read walks a handful of rows ([`Chain`]). [`next`] says which row a change writes.
//!
//! Nothing here does I/O: what is not in memory is answered with [`Needs`].
#![warn(missing_docs)]

mod chain;
mod delta;
mod hash;
mod next;

pub use chain::{Chain, Change, Link, Needs};
pub use delta::{Corrupt, Delta, DeltaEntry};
pub use hash::{StateHash, Summary};
pub use next::{BASE, NewLink, capacity, from_full, next};
