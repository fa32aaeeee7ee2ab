//! `[redis]`

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The streams. Losing Redis costs latency only.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Redis {
    /// One or more endpoints (`redis://…`, `redis+unix:///…`); a shard's stream lives on
    /// endpoint number `shard % endpoints`.
    pub endpoints: Vec<String>,
    /// Holds the password, the same for all endpoints.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
    /// Batches kept per stream (approximately).
    #[serde(default = "default_stream_length")]
    pub stream_length: usize,
    /// How long to wait for an answer, in milliseconds.
    #[serde(default = "default_timeout")]
    pub timeout_ms: u64,
}

fn default_stream_length() -> usize {
    1_000
}

fn default_timeout() -> u64 {
    1_000
}
