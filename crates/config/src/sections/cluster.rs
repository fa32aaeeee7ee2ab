//! `[cluster]`

use serde::{Deserialize, Serialize};

/// Heartbeats and leases (docs/architecture.md, "The way of a lease").
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cluster {
    /// How often an instance counts its heartbeat up and looks at the others', in milliseconds.
    pub heartbeat_ms: u64,
    /// How long a heartbeat must stand still before its shards may be taken, in milliseconds.
    pub lease_ms: u64,
    /// The same when the instance's port also refuses connections, in milliseconds.
    pub refused_lease_ms: u64,
    /// The least time between two voluntary moves of one shard, in milliseconds.
    pub minimum_hold_ms: u64,
    /// How long SIGTERM may take before the process ends anyway, in milliseconds.
    pub drain_ms: u64,
    /// How long a draining process still answers after `/ready` turned 404, in milliseconds.
    pub drain_delay_ms: u64,
    /// How often readers compare their positions with PostgreSQL's, in milliseconds.
    pub head_check_ms: u64,
    /// How long a repeated request finds its first answer, in milliseconds; what else is kept of
    /// batches goes then, too.
    pub retention_ms: u64,
}

impl Default for Cluster {
    fn default() -> Self {
        Self {
            heartbeat_ms: 500,
            lease_ms: 2_000,
            refused_lease_ms: 1_000,
            minimum_hold_ms: 5_000,
            drain_ms: 25_000,
            drain_delay_ms: 2_000,
            head_check_ms: 1_000,
            retention_ms: 86_400_000,
        }
    }
}
