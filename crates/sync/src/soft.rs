//! Soft state: what is true for seconds, travels by a Redis stream, and is lost with Redis.
//!
//! Every process follows the stream and derives the same from it. Entries, and what follows from the
//! passing of time, have one order on all instances: a place is Redis's time and a number within the
//! millisecond, and the end of something comes behind all entries of its millisecond.

pub(crate) mod answer;
mod follow;
mod publisher;

use ganglion_stream::SoftId;

pub(crate) use follow::{Soft, follow};
pub(crate) use publisher::Publisher;

/// Places within one millisecond; the last is for what the time brings.
const PER_MS: i64 = 4_096;

/// The place of an entry.
pub(crate) fn place_of(id: SoftId) -> i64 {
    let seq = i64::try_from(id.seq).unwrap_or(i64::MAX).min(PER_MS - 2);
    id.ms * PER_MS + seq
}

/// The place behind all entries of a millisecond.
pub(crate) fn end_of(ms: i64) -> i64 {
    ms * PER_MS + PER_MS - 1
}

/// The places of what this process has applied.
#[derive(Debug, Default)]
pub(crate) struct Applied {
    /// The life of Redis; 0: none was seen yet.
    pub(crate) run: u32,
    /// Nothing at or below it will change any more.
    pub(crate) at: i64,
    /// Who has seen less may have missed something that is forgotten here.
    pub(crate) floor: i64,
}

impl Applied {
    /// The place to note for a change: its own, or behind what was shown already.
    pub(crate) fn stamp(&mut self, place: i64) -> i64 {
        // While Redis is away the time goes on without it; what it brings later is new all the same.
        self.at = place.max(self.at + 1);
        self.at
    }

    /// The place up to which a client of `token` knows everything; `None` if that is not known.
    pub(crate) fn known(&self, token: ganglion_model::SoftPlace) -> Option<i64> {
        (token.run == self.run && token.at >= self.floor).then_some(token.at)
    }

    /// For the token of a client that has come with `token`.
    pub(crate) fn now(&self, token: ganglion_model::SoftPlace) -> ganglion_model::SoftPlace {
        // Another instance may have been ahead.
        let at = self.known(token).map_or(self.at, |at| at.max(self.at));
        ganglion_model::SoftPlace { run: self.run, at }
    }
}
