//! The cluster as a whole: from options to readiness, and back to nothing.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use futures_util::future::join_all;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::Signal;

use crate::balancer::Routing;
use crate::certificates;
use crate::children::Children;
use crate::files;
use crate::folder::Folder;
use crate::leftovers;
use crate::options::Options;
use crate::ports::Ports;
use crate::programs::{Programs, role_binary};
use crate::role::Role;
use crate::roles::{self, InstancePorts, StorePorts};
use crate::secrets::Secrets;
use crate::spawner::Spawner;
use crate::store_user::StoreUser;
use crate::stores::Store;

/// Longer than `cluster.drain_ms`, after which a role ends by itself.
pub(crate) const DRAIN: Duration = Duration::from_secs(40);

/// A running cluster. Dropping it kills everything; [`LocalCluster::shutdown`] ends it in order.
///
/// Processes have names: `client-reader-1` and so on, `primary`, `replica`, `redis`, `haproxy`,
/// `pgbouncer`; their logs are `logs/<name>.log` in the folder.
#[derive(Debug)]
pub struct LocalCluster {
    pub(crate) options: Options,
    pub(crate) folder: Folder,
    pub(crate) programs: Programs,
    pub(crate) user: Option<StoreUser>,
    pub(crate) secrets: Secrets,
    pub(crate) children: Arc<Children>,
    pub(crate) ports: Ports,
    pub(crate) store_ports: StorePorts,
    pub(crate) routing: Routing,
    /// How many clients HAProxy may have at a time.
    pub(crate) connections: u64,
    /// The instances of the roles by number, running or killed.
    pub(crate) members: BTreeMap<(Role, usize), InstancePorts>,
}

impl LocalCluster {
    /// Starts a cluster and returns when it is ready: every role answers `/ready` with 200, every
    /// shard has an owner (if there are event-persisters), and HAProxy serves clients on both ports
    /// (if there are client-readers). Must be called in a tokio runtime that outlives the cluster.
    ///
    /// # Errors
    /// The folder is in use or will not do, a program or binary is missing, a port is taken, or
    /// something does not come up: then with the end of its log. Nothing is left running.
    pub async fn start(options: Options) -> anyhow::Result<Self> {
        let mut cluster = Box::pin(Self::prepare(options)).await?;
        Box::pin(cluster.bring_up()).await?;
        Ok(cluster)
    }

    /// Everything that needs no process.
    async fn prepare(options: Options) -> anyhow::Result<Self> {
        let programs = Programs::find(options.pgbouncer)?;
        for (role, count) in &options.counts {
            if *count > 0 {
                role_binary(&options.bin_dir, role.as_str())?;
            }
        }
        let user = StoreUser::needed()?;
        let folder = Folder::open(&options.folder, user.as_ref())?;
        leftovers::end(&folder.pids()).await?;
        keep_server_name(&folder, &options.server_name)?;
        certificates::make(&folder, &options.server_name)?;
        let secrets = Secrets::open(&folder)?;
        let mut ports = Ports::open(folder.root())?;
        let store_ports = store_ports(&mut ports, &options)?;
        roles::write_configs(&folder, &options, &store_ports)?;
        let spawner = Spawner::start(&programs.setpriv)?;
        let children = Children::new(spawner, options.restart, folder.pids());
        Ok(Self {
            options,
            folder,
            programs,
            user,
            secrets,
            children,
            ports,
            store_ports,
            routing: Routing::default(),
            connections: raise_file_limit()?,
            members: BTreeMap::new(),
        })
    }

    async fn bring_up(&mut self) -> anyhow::Result<()> {
        tracing::info!(folder = %self.folder.root().display(), "starting PostgreSQL and Redis");
        self.read_routes().await?;
        self.start_stores().await?;
        tracing::info!("starting the roles");
        for (role, count) in self.options.counts.clone() {
            for _ in 0..count {
                self.start_member(role).await?;
            }
        }
        self.start_haproxy().await?;
        self.wait_ready().await?;
        tracing::info!("ready");
        Ok(())
    }

    /// Starts one more instance; it is not ready yet.
    pub(crate) async fn start_member(&mut self, role: Role) -> anyhow::Result<String> {
        let free = (1..).find(|number| !self.members.contains_key(&(role, *number)));
        let number = free.unwrap_or_default();
        let name = format!("{role}-{number}");
        let ports = InstancePorts {
            http: self.ports.of(&format!("{name} http"))?,
            rpc: self.ports.of(&format!("{name} rpc"))?,
            admin: self.ports.of(&format!("{name} admin"))?,
        };
        let recipe = roles::recipe(&self.folder, &self.options, role, &name, ports)?;
        self.children.start(recipe).await?;
        self.members.insert((role, number), ports);
        Ok(name)
    }

    /// A role's configuration file. It names the certificate and the database user by which a test
    /// may act as that role; addresses of single instances are in [`LocalCluster::facts`].
    #[must_use]
    pub fn config_of(&self, role: Role) -> PathBuf {
        self.folder.config(role)
    }

    /// Ends everything in good order: the roles drain at the same time, then HAProxy, Redis,
    /// PgBouncer and the replica follow the primary.
    ///
    /// # Errors
    /// A role that ran did not end well; everything is ended all the same.
    pub async fn shutdown(self) -> anyhow::Result<()> {
        let names = self
            .members
            .keys()
            .map(|(role, number)| format!("{role}-{number}"));
        let running: Vec<_> = names
            .filter(|name| self.children.pid(name).is_ok())
            .collect();
        let drains = running
            .iter()
            .map(|name| self.children.stop(name, Signal::SIGTERM, DRAIN));
        let mut failed = Vec::new();
        for (name, status) in running.iter().zip(join_all(drains).await) {
            match status {
                Ok(status) if status.success() => {}
                Ok(status) => failed.push(format!("{name}: {status}")),
                Err(error) => failed.push(format!("{name}: {error:#}")),
            }
        }
        let order = [
            Store::Haproxy,
            Store::PgBouncer,
            Store::Redis,
            Store::Primary,
            Store::Replica,
        ];
        for store in order {
            if self.children.standing(store.as_str()).is_some() {
                let (signal, limit) = store.end();
                self.children.stop(store.as_str(), signal, limit).await?;
            }
        }
        if failed.is_empty() {
            Ok(())
        } else {
            bail!("not ended well: {}", failed.join("; "))
        }
    }
}

impl Drop for LocalCluster {
    fn drop(&mut self) {
        self.children.abandon();
    }
}

fn store_ports(ports: &mut Ports, options: &Options) -> anyhow::Result<StorePorts> {
    let primary = ports.of("primary")?;
    let through = if options.pgbouncer {
        ports.of("pgbouncer")?
    } else {
        primary
    };
    Ok(StorePorts {
        primary,
        replica: ports.of("replica")?,
        primary_for_roles: through,
        redis: ports.of("redis")?,
        plain: ports.wanted("haproxy plain", options.plain_port)?,
        tls: ports.wanted("haproxy tls", options.tls_port)?,
        haproxy_metrics: ports.of("haproxy metrics")?,
    })
}

/// Lets this process, and all that it starts, have as many files open as the system allows; an
/// interactive shell's limit is low. Returns for how many clients that will do: HAProxy needs two
/// files for each, and some for itself.
fn raise_file_limit() -> anyhow::Result<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    }
    Ok((hard / 2).saturating_sub(200).clamp(100, 20_000))
}

/// User ids and events hold the server's name: it cannot change under them.
fn keep_server_name(folder: &Folder, name: &str) -> anyhow::Result<()> {
    let path = folder.root().join("server-name");
    if !path.exists() {
        return files::write(&path, name.as_bytes(), 0o644);
    }
    let before =
        std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    if before.trim() == name {
        return Ok(());
    }
    bail!(
        "{} has the data of server name `{}`; a name cannot change: use that one or another folder",
        folder.root().display(),
        before.trim(),
    )
}
