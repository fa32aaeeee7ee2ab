//! `[postgres]`

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The primary and its replicas.
///
/// Addresses are libpq connection strings (`host=… port=… dbname=… user=…`). The password, if one is
/// needed, comes from `password_file`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Postgres {
    /// Where writes go.
    pub primary: String,
    /// Where reads go while they are fresh enough; may be empty.
    #[serde(default)]
    pub replicas: Vec<String>,
    /// Holds the password of the role's database user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
    /// Connections to the primary, per process; two more are for barriers alone.
    #[serde(default = "default_pool")]
    pub primary_pool: usize,
    /// Connections to each replica, per process.
    #[serde(default = "default_pool")]
    pub replica_pool: usize,
    /// How long to wait for a free connection, a connection, or an answer, in milliseconds.
    #[serde(default = "default_timeout")]
    pub timeout_ms: u64,
    /// How long a read waits for a replica to catch up before it goes to the primary, in milliseconds.
    #[serde(default = "default_replica_wait")]
    pub replica_wait_ms: u64,
    /// Reads per second and process that may go to the primary because a replica is behind.
    #[serde(default = "default_primary_reads")]
    pub primary_reads_per_second: u32,
}

fn default_pool() -> usize {
    16
}

fn default_timeout() -> u64 {
    5_000
}

fn default_replica_wait() -> u64 {
    15
}

fn default_primary_reads() -> u32 {
    500
}
