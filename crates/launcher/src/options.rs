//! What to start.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use ganglion_config::LogFormat;

use crate::role::Role;

/// What to start, where and how. Make it by [`Options::new`] and change what differs.
#[derive(Debug, Clone)]
pub struct Options {
    /// The folder of everything: data, secrets, configuration, logs. Made if missing; a folder of an
    /// earlier run is taken up with its data, secrets and ports.
    pub folder: PathBuf,
    /// Where the role binaries are.
    pub bin_dir: PathBuf,
    /// A folder of `NNNN_name.sql` files to migrate by; `None`: those built into this program.
    pub migrations: Option<PathBuf>,
    /// The name after the colon in user ids. It cannot change in a folder that has data.
    pub server_name: String,
    /// How many of each role; a role that is missing has none.
    pub counts: BTreeMap<Role, usize>,
    /// The port for clients with TLS; `None`: any free one.
    pub tls_port: Option<u16>,
    /// The address that [`Options::tls_port`] is bound on.
    pub tls_address: IpAddr,
    /// The port for clients without TLS, on 127.0.0.1 only; `None`: any free one.
    pub plain_port: Option<u16>,
    /// `accounts.registration`: "open", "token" or "disabled".
    pub registration: String,
    /// Settings of all roles that override their files: `GANGLION__SECTION__KEY` (or
    /// `section.key`) and a value.
    pub settings: Vec<(String, String)>,
    /// Starts again what dies by itself, with a growing pause.
    pub restart: bool,
    /// PostgreSQL waits for the disk. Without it a power cut may cost data; killed processes do not.
    pub durable: bool,
    /// A commit waits for the replica: while that is down, nothing is acknowledged.
    pub synchronous_standby: bool,
    /// Roles reach the primary through a PgBouncer in transaction mode.
    pub pgbouncer: bool,
    /// `log.format` of the roles.
    pub log_format: LogFormat,
}

impl Options {
    /// Two of each role, server name "localhost", free ports, open registration, durable, JSON logs;
    /// no restarts, no synchronous standby, no PgBouncer.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>, bin_dir: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            bin_dir: bin_dir.into(),
            migrations: None,
            server_name: "localhost".to_owned(),
            counts: Role::all().iter().map(|role| (*role, 2)).collect(),
            tls_port: None,
            tls_address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            plain_port: None,
            registration: "open".to_owned(),
            settings: Vec::new(),
            restart: false,
            durable: true,
            synchronous_standby: false,
            pgbouncer: false,
            log_format: LogFormat::Json,
        }
    }
}
