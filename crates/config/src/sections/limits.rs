//! `[limits]`

use serde::{Deserialize, Serialize};

/// Bounds of queues and caches, per process.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Commands waiting in one shard; more are answered `M_LIMIT_EXCEEDED`.
    pub shard_queue: usize,
    /// Commands in one batch.
    pub batch_commands: usize,
    /// Batches waiting to be published to Redis per shard; older ones are dropped, PostgreSQL has them.
    pub publish_queue: usize,
    /// Bytes of loaded rooms that one shard keeps.
    pub room_cache_bytes: usize,
    /// Entries of each shard's tail that a reader keeps, and as many receipts.
    pub tail_entries: usize,
    /// Bytes that a reader keeps over all tails; of a room shard's a quarter is for receipts.
    pub tail_bytes: usize,
    /// Access tokens that a reader keeps.
    pub token_cache: usize,
    /// Rooms' and events' rendered forms that a reader keeps, in bytes.
    pub event_cache_bytes: usize,
    /// Initial syncs that one reader builds at once.
    pub initial_syncs: usize,
    /// Password hashes that one reader computes at once.
    pub password_hashes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            shard_queue: 1_000,
            batch_commands: 200,
            publish_queue: 1_000,
            room_cache_bytes: 16 * 1024 * 1024,
            tail_entries: 10_000,
            tail_bytes: 256 * 1024 * 1024,
            token_cache: 100_000,
            event_cache_bytes: 64 * 1024 * 1024,
            initial_syncs: 16,
            password_hashes: 2,
        }
    }
}
