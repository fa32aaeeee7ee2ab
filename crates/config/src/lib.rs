//! The configuration: one TOML file for every role, overridden by environment variables.
//!
//! One section per file of `sections/`, each with its own checks. [`Config::load`] reads, overrides
//! and validates the whole before any port is bound; every error names key, value and fix.
#![warn(missing_docs)]

mod check;
mod load;
mod sections;

pub use load::{ConfigError, Problem};
pub use sections::{
    Accounts, Admin, Cluster, Config, Http, Limits, Log, LogFormat, Postgres, Presence, Rate,
    RateLimits, Redis, Rooms, Rpc, Secrets, Server,
};
