//! Push rules: what is stored of a user's, how a client changes them, and what they say about an event
//! (client-server API, "Push Rules").
//!
//! Nothing here does I/O.
#![warn(missing_docs)]

pub mod change;
mod stored;
mod verdict;

pub use stored::{Content, TYPE, content, rules};
pub use verdict::{DefaultRules, EventFacts, Onlooker, actions, names, needs_members, verdict};
