//! Logs, traces and metrics.
#![warn(missing_docs)]

pub mod logs;
pub mod metrics;

pub use logs::{Guard, init};
