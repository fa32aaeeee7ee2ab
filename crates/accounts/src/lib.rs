//! Accounts as the client-server API sees them: tokens, passwords, user-interactive authentication,
//! profiles, account data, push rules. Reads only: every write is a command to the owner of the
//! user's shard.
//!
//! A token is looked up in memory first. That is as good as a look into the database because a
//! request first waits until this process has applied the user's log up to the request's barrier:
//! an ended token is refused at once, on every instance.
#![warn(missing_docs)]

mod handle;
pub mod passwords;
pub mod profile;
mod tokens;
pub mod uia;
pub mod usernames;

pub use handle::{Accounts, Parts, storage_error};
pub use tokens::{Identity, TokenCache, UserKind};
