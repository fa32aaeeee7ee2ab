//! The only SQL of Ganglion.
//!
//! Reads go through [`Database::read`], which finds a replica that is fresh enough; writes of logs
//! go through [`batch::commit`] under a [`batch::Fence`].
//!
//! To add a query: put one function into the module of its table group, taking `&Connection` first;
//! name every column, type every parameter (`query_typed`: unnamed statements, so that PgBouncer in
//! transaction mode works), add the statement to the module's `STATEMENTS`, and test it on a real
//! database.
#![warn(missing_docs)]
#![warn(clippy::future_not_send)]

pub mod accounts;
pub mod batch;
pub mod connection;
pub mod database;
pub mod directory;
pub mod error;
pub mod fabric;
pub mod intern;
pub mod log;
pub mod memberships;
pub mod receipts;
pub mod relations;
pub mod retention;
pub mod rooms;
pub mod spaces;
pub mod state;
pub mod timeline;
pub mod unread;

pub use batch::{Batch, BatchError, Fence};
pub use connection::Connection;
pub use database::{Barrier, Database, Heads};
pub use error::StorageError;

/// The migration that this release needs at least (`migrations/`). A newer schema is fine: the
/// release before must run beside it.
pub const SCHEMA_VERSION: i64 = 10;

/// Every statement of this crate: a test has PostgreSQL prepare each on a migrated database.
#[must_use]
pub fn statements() -> Vec<&'static str> {
    let tables: &[&[&str]] = &[
        accounts::STATEMENTS,
        database::STATEMENTS,
        directory::STATEMENTS,
        fabric::STATEMENTS,
        intern::STATEMENTS,
        log::STATEMENTS,
        memberships::STATEMENTS,
        receipts::STATEMENTS,
        relations::STATEMENTS,
        retention::STATEMENTS,
        rooms::STATEMENTS,
        spaces::STATEMENTS,
        state::STATEMENTS,
        timeline::STATEMENTS,
        unread::STATEMENTS,
    ];
    tables
        .iter()
        .copied()
        .flatten()
        .copied()
        .chain(batch::statements())
        .collect()
}
