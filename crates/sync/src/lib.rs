//! `/sync`: what has changed for a user since a token.
//!
//! [`Tail`] holds the recent entries of all logs in memory and wakes who waits for them;
//! [`SyncEngine`] answers requests from it, and from PostgreSQL for what it no longer holds.
//!
//! [`Typing`] and [`Presence`] are soft state: they travel by Redis streams of their own and are lost with
//! them.
//!
//! A response fixes the vector of room positions first and never shows anything beyond it: so along
//! any chain of tokens each event is delivered once, and a repeated token gives the same events.
#![warn(missing_docs)]

mod account_data;
mod answer;
mod engine;
mod followed;
mod lazy;
mod metrics;
mod moment;
mod plan;
mod presence;
mod receipts;
mod response;
mod rules;
mod section;
mod soft;
mod state;
mod stripped;
mod summary;
mod tail;
mod timeline;
mod typing;
mod unread;
mod users;

pub use engine::{SyncEngine, SyncError, SyncParts, SyncRequest};
pub use presence::{Presence, PresenceNow, PresenceParts, PresenceStart, State, Who};
pub use receipts::OwnReceipts;
pub use tail::Tail;
pub use typing::{LONGEST_TYPING, Typing};
