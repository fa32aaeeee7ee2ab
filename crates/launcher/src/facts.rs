//! What a client, a test or an operator needs to know of a running cluster.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::cluster::LocalCluster;
use crate::files;
use crate::postgres::Server;
use crate::role::Role;
use crate::roles::local;
use crate::stores::Store;

/// A running cluster's addresses, as in `cluster.json`. It holds passwords.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// Where clients connect, with TLS.
    pub client_url: String,
    /// Where clients connect without TLS.
    pub client_url_plain: String,
    /// The authority that signed the certificate of `client_url` (PEM).
    pub ca_file: PathBuf,
    /// The name after the colon in user ids.
    pub server_name: String,
    /// The instances of the roles that run now.
    pub processes: Vec<ProcessFacts>,
    /// The databases.
    pub postgres: PostgresFacts,
    /// Redis' address, with its password.
    pub redis: String,
    /// The balancer.
    pub haproxy: HaproxyFacts,
}

impl Facts {
    /// Writes them to a file that only its owner may read, whole or not at all.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        files::write(path, &serde_json::to_vec_pretty(self)?, 0o600)
    }
}

/// A running instance of a role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessFacts {
    /// Such as `client-reader-1`: kept over restarts.
    pub name: String,
    /// Its role.
    pub role: Role,
    /// This process' number in the cluster: another one after a restart.
    pub instance: Uuid,
    /// Its process number.
    pub pid: u32,
    /// `/live`, `/ready`, `/metrics`, `/log`.
    pub admin_url: String,
    /// The client API, if it serves that.
    pub http_url: Option<String>,
    /// Its gRPC port, if it serves that.
    pub rpc_address: Option<SocketAddr>,
}

/// Addresses of the databases as libpq reads them, for the superuser.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PostgresFacts {
    /// What is written to.
    pub primary: String,
    /// What follows it.
    pub replica: String,
    /// The primary by way of PgBouncer, if there is one.
    pub pgbouncer: Option<String>,
}

/// The balancer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HaproxyFacts {
    /// Its Unix socket for statistics and commands.
    pub stats: PathBuf,
    /// Its own metrics.
    pub metrics_url: String,
    /// The process number of its master, if it runs.
    pub pid: Option<u32>,
}

/// What a role tells of itself (runtime, `admin.address_file`).
#[derive(Debug, Deserialize)]
pub(crate) struct Addresses {
    instance: Uuid,
    pid: u32,
    http: Option<SocketAddr>,
    rpc: Option<SocketAddr>,
    admin: SocketAddr,
}

impl LocalCluster {
    /// The cluster's addresses as they are now.
    #[must_use]
    pub fn facts(&self) -> Facts {
        let postgres = self.postgres();
        let ports = &self.store_ports;
        Facts {
            client_url: format!("https://localhost:{}", ports.tls),
            client_url_plain: format!("http://127.0.0.1:{}", ports.plain),
            ca_file: self.folder.secret("client-ca.crt"),
            server_name: self.options.server_name.clone(),
            processes: self
                .members
                .keys()
                .filter_map(|member| self.process(*member))
                .collect(),
            postgres: PostgresFacts {
                primary: postgres.dsn(Server::Primary, "ganglion"),
                replica: postgres.dsn(Server::Replica, "ganglion"),
                pgbouncer: self.options.pgbouncer.then(|| self.pgbouncer_dsn()),
            },
            redis: format!("redis://:{}@127.0.0.1:{}", self.secrets.redis, ports.redis),
            haproxy: HaproxyFacts {
                stats: self.folder.haproxy_socket(),
                metrics_url: format!("http://{}/metrics", local(ports.haproxy_metrics)),
                pid: self.children.pid(Store::Haproxy.as_str()).ok(),
            },
        }
    }

    fn process(&self, (role, number): (Role, usize)) -> Option<ProcessFacts> {
        let name = format!("{role}-{number}");
        let addresses = self.addresses(&name)?;
        Some(ProcessFacts {
            role,
            instance: addresses.instance,
            pid: addresses.pid,
            admin_url: format!("http://{}", addresses.admin),
            http_url: addresses.http.map(|address| format!("http://{address}")),
            rpc_address: addresses.rpc,
            name,
        })
    }

    /// What the running process of that name tells; `None` until it does.
    pub(crate) fn addresses(&self, name: &str) -> Option<Addresses> {
        let bytes = std::fs::read(self.folder.address_file(name)).ok()?;
        let addresses: Addresses = serde_json::from_slice(&bytes).ok()?;
        // Another process' file may still lie there.
        (self.children.pid(name).ok()? == addresses.pid).then_some(addresses)
    }
}
