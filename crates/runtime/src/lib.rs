//! The shell of every server process: command line, configuration, logs, admin port, signals, drain.
//!
//! A role implements [`Service`]; its `main` is one call of [`main`].
#![warn(missing_docs)]

mod addresses;
mod admin;
mod process;
mod readiness;
mod tasks;

pub use addresses::Addresses;
pub use process::{Context, Service, main};
pub use readiness::Readiness;
pub use tasks::Tasks;
