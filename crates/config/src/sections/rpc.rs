//! `[rpc]`

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// gRPC between the roles, always with mutual TLS.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rpc {
    /// Where this process listens, if its role has a gRPC service.
    #[serde(default = "default_listen")]
    pub listen: SocketAddr,
    /// The address other processes reach it at; the bound address if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advertise: Option<String>,
    /// The CA that signed every role's certificate (PEM).
    pub ca_file: PathBuf,
    /// This role's certificate (PEM); its DNS name is `<role>.ganglion.internal`.
    pub cert_file: PathBuf,
    /// This role's key (PEM).
    pub key_file: PathBuf,
    /// How long a call may take altogether, with its retries, in milliseconds.
    #[serde(default = "default_deadline")]
    pub deadline_ms: u64,
}

fn default_listen() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

fn default_deadline() -> u64 {
    20_000
}
