//! The cluster fabric: who is there, who owns which shard, how commands reach the owner, how a
//! batch becomes log, stream and reply, and how readers follow the logs.
//!
//! The parts, from the bottom: [`membership`] counts heartbeats, [`assignment`] says who should own
//! what, [`owner`] holds leases and commits batches, [`commands`] finds the owner for a caller,
//! [`follower`] brings every position of every log to a reader exactly once, [`rates`] counts over all
//! instances how often something was done.
#![warn(missing_docs)]
#![warn(clippy::future_not_send)]

pub mod assignment;
pub mod commands;
pub mod follower;
pub mod membership;
pub mod owner;
pub mod rates;
pub mod retention;

mod backoff;

pub use commands::{Commands, Done};
pub use follower::{Apply, Follower, LogBatch};
pub use membership::{Cluster, Join, ShardMap};
pub use retention::Retention;
