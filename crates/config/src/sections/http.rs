//! `[http]`

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// The public HTTP port of the roles that have one. TLS ends at the balancer.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Http {
    /// Where the balancer reaches this process.
    pub listen: SocketAddr,
    /// How many proxies stand in front, each of which adds to `X-Forwarded-For`; what lies beyond them is
    /// the client's own word. 0: clients connect to this port themselves.
    pub trusted_proxies: usize,
    /// Requests in work at once; more are answered 429 `M_LIMIT_EXCEEDED`.
    pub max_requests: usize,
    /// Long-polls parked at once, counted apart from `max_requests`.
    pub max_parked: usize,
    /// The largest request body, in bytes.
    pub max_body_bytes: usize,
    /// How long a request other than a long-poll may take, in milliseconds.
    pub request_timeout_ms: u64,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            trusted_proxies: 1,
            max_requests: 1_000,
            max_parked: 20_000,
            max_body_bytes: 1_048_576,
            request_timeout_ms: 30_000,
        }
    }
}
