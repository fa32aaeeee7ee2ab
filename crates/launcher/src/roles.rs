//! The roles' configuration files, and how an instance is started.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use ganglion_config::{
    Accounts, Admin, Config, Http, Limits, Log, Postgres, Presence, Rate, RateLimits, Redis, Rooms,
    Rpc, Secrets as SecretFiles, Server,
};

use crate::children::Recipe;
use crate::files;
use crate::folder::Folder;
use crate::options::Options;
use crate::programs::role_binary;
use crate::role::Role;
use crate::secrets::{SUPERUSER, password_file};

/// A cluster on one machine is for tests and for loads that one machine makes.
const UNHINDERED: Rate = Rate {
    burst: 1_000_000,
    per_second: 100_000.0,
};

/// The ports of the stores, and of HAProxy for clients.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StorePorts {
    pub(crate) primary: u16,
    pub(crate) replica: u16,
    /// Where the roles find the primary: PgBouncer's port, if there is one.
    pub(crate) primary_for_roles: u16,
    pub(crate) redis: u16,
    pub(crate) plain: u16,
    pub(crate) tls: u16,
    /// HAProxy's own metrics.
    pub(crate) haproxy_metrics: u16,
}

/// The ports of an instance; kept over its restarts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct InstancePorts {
    pub(crate) http: u16,
    pub(crate) rpc: u16,
    pub(crate) admin: u16,
}

/// Writes the configuration file of each role, and `ganglion.toml` for the tool, with the rights of
/// the superuser.
pub(crate) fn write_configs(
    folder: &Folder,
    options: &Options,
    ports: &StorePorts,
) -> anyhow::Result<()> {
    for role in Role::all() {
        let config = config(
            folder,
            options,
            ports,
            *role,
            role.database_user(),
            ports.primary_for_roles,
        );
        files::write(
            &folder.config(*role),
            toml::to_string(&config)?.as_bytes(),
            0o600,
        )?;
    }
    let tool = config(
        folder,
        options,
        ports,
        Role::ClientReader,
        SUPERUSER,
        ports.primary,
    );
    let path = folder.root().join("config/ganglion.toml");
    files::write(&path, toml::to_string(&tool)?.as_bytes(), 0o600)
}

fn config(
    folder: &Folder,
    options: &Options,
    ports: &StorePorts,
    role: Role,
    user: &str,
    primary: u16,
) -> Config {
    let dsn = |port: u16| format!("host=127.0.0.1 port={port} dbname=ganglion user={user}");
    Config {
        server: Server {
            name: options.server_name.clone(),
            public_url: format!("https://localhost:{}", ports.tls),
        },
        secrets: SecretFiles {
            server_secret_file: folder.secret("server-secret"),
            signing_key_file: (role == Role::EventPersister).then(|| folder.secret("signing-key")),
        },
        postgres: Postgres {
            primary: dsn(primary),
            replicas: vec![dsn(ports.replica)],
            password_file: Some(folder.secret(&password_file(user))),
            primary_pool: 16,
            replica_pool: 16,
            timeout_ms: 5_000,
            replica_wait_ms: 15,
            primary_reads_per_second: 500,
        },
        redis: Redis {
            endpoints: vec![format!("redis://127.0.0.1:{}", ports.redis)],
            password_file: Some(folder.secret(&password_file("redis"))),
            stream_length: 1_000,
            timeout_ms: 1_000,
        },
        rpc: Rpc {
            listen: local(0),
            advertise: None,
            ca_file: folder.secret("rpc-ca.crt"),
            cert_file: folder.secret(&format!("{role}.crt")),
            key_file: folder.secret(&format!("{role}.key")),
            deadline_ms: 20_000,
        },
        http: Http::default(),
        admin: Admin::default(),
        cluster: ganglion_config::Cluster::default(),
        limits: Limits::default(),
        rate_limits: RateLimits::all_at(UNHINDERED),
        rooms: Rooms::default(),
        presence: Presence::default(),
        accounts: Accounts {
            registration: options.registration.clone(),
            ..Accounts::default()
        },
        log: Log {
            format: options.log_format,
            ..Log::default()
        },
    }
}

/// How the instance `name` is started.
///
/// # Errors
/// The role's binary is missing.
pub(crate) fn recipe(
    folder: &Folder,
    options: &Options,
    role: Role,
    name: &str,
    ports: InstancePorts,
) -> anyhow::Result<Recipe> {
    let address_file = folder.address_file(name);
    let mut environment: Vec<(String, String)> = options
        .settings
        .iter()
        .map(|(key, value)| (variable(key), value.clone()))
        .collect();
    for (key, value) in [
        ("HTTP__LISTEN", local(ports.http).to_string()),
        ("RPC__LISTEN", local(ports.rpc).to_string()),
        ("ADMIN__LISTEN", local(ports.admin).to_string()),
        ("ADMIN__ADDRESS_FILE", address_file.display().to_string()),
    ] {
        environment.push((format!("GANGLION__{key}"), value));
    }
    Ok(Recipe {
        name: name.to_owned(),
        program: role_binary(&options.bin_dir, role.as_str())?,
        arguments: vec!["--config".into(), folder.config(role).into()],
        environment,
        directory: PathBuf::from("/"),
        user: None,
        death: "KILL",
        log: folder.log(name),
        remove_before: Some(address_file),
    })
}

/// On this machine only.
pub(crate) fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// `cluster.lease_ms` as the environment variable that sets it.
fn variable(key: &str) -> String {
    match key.split_once('.') {
        Some((section, key)) => format!("GANGLION__{section}__{key}").to_uppercase(),
        None => key.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::variable;

    #[test]
    fn settings_may_be_named_as_in_the_file() {
        assert_eq!(variable("cluster.lease_ms"), "GANGLION__CLUSTER__LEASE_MS");
        assert_eq!(variable("GANGLION__LOG__LEVEL"), "GANGLION__LOG__LEVEL");
    }
}
