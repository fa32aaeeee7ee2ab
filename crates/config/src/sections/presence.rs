//! `[presence]`

use serde::{Deserialize, Serialize};

/// Presence of users. All client-readers must have the same values: each derives it for itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Presence {
    /// Without it everybody is offline: nothing is kept, told or written.
    pub enabled: bool,
    /// How long after its last request to `/sync` a device is offline, in milliseconds.
    pub offline_ms: u64,
    /// How long after the last activity a device that is online is called unavailable, in milliseconds.
    pub idle_ms: u64,
    /// How long after an activity a user is told of as currently active, in milliseconds.
    pub active_ms: u64,
    /// How often a device that syncs says so to the other instances, in milliseconds.
    pub refresh_ms: u64,
}

impl Default for Presence {
    fn default() -> Self {
        Self {
            enabled: true,
            offline_ms: 30_000,
            idle_ms: 300_000,
            active_ms: 60_000,
            refresh_ms: 20_000,
        }
    }
}
