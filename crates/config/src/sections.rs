//! The sections. Defaults are in the `Default` impls; what has none must be in the file.

mod accounts;
mod admin;
mod cluster;
mod http;
mod limits;
mod log;
mod postgres;
mod presence;
mod rate_limits;
mod redis;
mod rooms;
mod rpc;
mod secrets;
mod server;

use serde::{Deserialize, Serialize};

pub use accounts::Accounts;
pub use admin::Admin;
pub use cluster::Cluster;
pub use http::Http;
pub use limits::Limits;
pub use log::{Log, LogFormat};
pub use postgres::Postgres;
pub use presence::Presence;
pub use rate_limits::{Rate, RateLimits};
pub use redis::Redis;
pub use rooms::Rooms;
pub use rpc::Rpc;
pub use secrets::Secrets;
pub use server::Server;

/// The whole configuration of a process.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Who this server is.
    pub server: Server,
    /// Files with secrets.
    pub secrets: Secrets,
    /// The primary and its replicas.
    pub postgres: Postgres,
    /// The streams.
    pub redis: Redis,
    /// gRPC between the roles.
    pub rpc: Rpc,
    /// The public HTTP port of the roles that have one.
    #[serde(default)]
    pub http: Http,
    /// The admin port.
    #[serde(default)]
    pub admin: Admin,
    /// Heartbeats and leases.
    #[serde(default)]
    pub cluster: Cluster,
    /// Queues, caches, deadlines.
    #[serde(default)]
    pub limits: Limits,
    /// How often clients may do what.
    #[serde(default)]
    pub rate_limits: RateLimits,
    /// Rooms: default version and what may be created.
    #[serde(default)]
    pub rooms: Rooms,
    /// Presence of users.
    #[serde(default)]
    pub presence: Presence,
    /// Registration and login.
    #[serde(default)]
    pub accounts: Accounts,
    /// Log output.
    #[serde(default)]
    pub log: Log,
}
