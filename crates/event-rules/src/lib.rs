//! The rules of Matrix events, pure: formats and room versions, hashes and signatures, redaction,
//! authorisation, state resolution, and the forms clients see. Built over ruma; no I/O, no clock.
//!
//! The way of a local event: [`content::parse_object`] -> [`auth::auth_keys`] -> [`build::Draft`] ->
//! [`build::hash`] -> [`auth::check_dependent`] -> [`build::sign`] -> [`stored::split`].
#![warn(missing_docs)]

pub mod auth;
pub mod build;
pub mod client_format;
pub mod content;
pub mod pdu;
pub mod power;
pub mod redact;
pub mod resolve;
pub mod signing_key;
pub mod stored;
pub mod version;

pub use pdu::{FormatError, Pdu};
pub use power::Power;
pub use resolve::{Resolver, StateKey, StateMap};
pub use signing_key::SigningKey;
pub use stored::{Columns, Split};
pub use version::RoomVersion;

#[cfg(test)]
mod testing;
