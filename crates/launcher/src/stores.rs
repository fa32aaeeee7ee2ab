//! The stores and HAProxy: which there are, how each is started and found to answer.

use std::time::Duration;

use anyhow::{Context as _, bail};
use nix::sys::signal::Signal;

use crate::cluster::LocalCluster;
use crate::database;
use crate::pgbouncer;
use crate::postgres::{Postgres, Server};
use crate::redis;
use crate::roles::local;
use crate::secrets::SUPERUSER;
use crate::wait;

/// What a cluster needs that is no role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Store {
    /// Redis.
    Redis,
    /// The PostgreSQL server that is written to.
    Primary,
    /// The PostgreSQL server that follows it.
    Replica,
    /// The balancer.
    Haproxy,
    /// PgBouncer, if [`crate::Options::pgbouncer`] asks for it.
    PgBouncer,
}

impl Store {
    /// Every one.
    #[must_use]
    pub const fn all() -> &'static [Self] {
        &[
            Self::Redis,
            Self::Primary,
            Self::Replica,
            Self::Haproxy,
            Self::PgBouncer,
        ]
    }

    /// Its name, that of its log, too.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Redis => "redis",
            Self::Primary => "primary",
            Self::Replica => "replica",
            Self::Haproxy => "haproxy",
            Self::PgBouncer => "pgbouncer",
        }
    }

    /// By its name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::all()
            .iter()
            .copied()
            .find(|store| store.as_str() == name)
    }

    /// The signal that ends it in good order, and how long that may take.
    pub(crate) const fn end(self) -> (Signal, Duration) {
        match self {
            // A fast shutdown: clients are disconnected, what is committed is written out.
            Self::Primary | Self::Replica => (Signal::SIGINT, Duration::from_secs(30)),
            _ => (Signal::SIGTERM, Duration::from_secs(5)),
        }
    }
}

impl LocalCluster {
    pub(crate) fn postgres(&self) -> Postgres<'_> {
        Postgres {
            folder: &self.folder,
            programs: &self.programs,
            user: self.user.as_ref(),
            secrets: &self.secrets,
            primary: self.store_ports.primary,
            replica: self.store_ports.replica,
            durable: self.options.durable,
        }
    }

    /// Starts PostgreSQL, migrates, starts the replica; PgBouncer and Redis beside it.
    pub(crate) async fn start_stores(&self) -> anyhow::Result<()> {
        let (user, secrets, ports) = (self.user.as_ref(), &self.secrets, &self.store_ports);
        let recipe = redis::recipe(
            &self.folder,
            &self.programs.redis,
            user,
            ports.redis,
            &secrets.redis,
        )?;
        self.children.start(recipe).await?;

        let postgres = self.postgres();
        postgres.start_primary(&self.children).await?;
        let dsn = postgres.dsn(Server::Primary, "ganglion");
        let folder = self.options.migrations.as_deref();
        for applied in crate::migrate(&dsn, None, folder)
            .await
            .context("migrate")?
        {
            tracing::info!(version = applied.version, applied.description, "migrated");
        }
        postgres.start_replica(&self.children).await?;
        if self.options.synchronous_standby {
            let name = "synchronous_standby_names";
            database::set_parameter(&dsn, name, Some(Server::Replica.name())).await?;
        }
        if let Some(program) = &self.programs.pgbouncer {
            let pair = (ports.primary_for_roles, ports.primary);
            let recipe = pgbouncer::recipe(&self.folder, program, user, pair, secrets)?;
            self.children.start(recipe).await?;
            self.wait_store(Store::PgBouncer).await?;
        }
        self.wait_store(Store::Redis).await
    }

    /// Waits until a store answers.
    pub(crate) async fn wait_store(&self, store: Store) -> anyhow::Result<()> {
        let name = store.as_str();
        let what = format!("waiting for {name}");
        wait::until(&self.children, &[name], &what, wait::PATIENCE, || async {
            Ok(self.answers(store).await)
        })
        .await
    }

    async fn answers(&self, store: Store) -> bool {
        match store {
            Store::Redis => {
                redis::answers(local(self.store_ports.redis), &self.secrets.redis).await
            }
            Store::Primary => {
                database::answers(&self.postgres().dsn(Server::Primary, SUPERUSER)).await
            }
            Store::Replica => {
                database::answers(&self.postgres().dsn(Server::Replica, SUPERUSER)).await
            }
            Store::Haproxy => self.worker().await.is_some(),
            Store::PgBouncer => database::answers(&self.pgbouncer_dsn()).await,
        }
    }

    /// The superuser's address of the primary by way of PgBouncer.
    pub(crate) fn pgbouncer_dsn(&self) -> String {
        format!(
            "host=127.0.0.1 port={} dbname=ganglion user={SUPERUSER} password={}",
            self.store_ports.primary_for_roles, self.secrets.superuser,
        )
    }

    /// Ends a store as a crash does: nothing is written out, clients lose their connections.
    ///
    /// # Errors
    /// There is no such store in this cluster.
    pub async fn kill_store(&mut self, store: Store) -> anyhow::Result<()> {
        let signal = match store {
            // PostgreSQL's own crash: a SIGKILL would leave its children for a while.
            Store::Primary | Store::Replica => Signal::SIGQUIT,
            _ => Signal::SIGKILL,
        };
        self.children
            .stop(store.as_str(), signal, Duration::from_secs(5))
            .await?;
        Ok(())
    }

    /// Starts a store that was killed, on its old port, and waits until it answers; the replica, too,
    /// until it follows the primary, if that runs.
    ///
    /// # Errors
    /// It runs, was never started, or does not answer.
    pub async fn start_store(&mut self, store: Store) -> anyhow::Result<()> {
        self.children.start_again(store.as_str()).await?;
        self.wait_store(store).await?;
        if store == Store::Replica && self.children.pid(Store::Primary.as_str()).is_ok() {
            self.postgres()
                .wait_streaming(&self.children, wait::PATIENCE)
                .await?;
        }
        Ok(())
    }

    /// Lets the replica lag: it applies what it receives `ms` milliseconds later; 0 ends that.
    ///
    /// # Errors
    /// The replica does not run.
    pub async fn set_replica_delay(&self, ms: u32) -> anyhow::Result<()> {
        let dsn = self.postgres().dsn(Server::Replica, SUPERUSER);
        let value = format!("{ms}ms");
        database::set_parameter(&dsn, "recovery_min_apply_delay", Some(&value)).await?;
        // A reload only asks for it.
        let client = database::connect(&dsn, None).await?;
        let query =
            "SELECT setting::bigint FROM pg_settings WHERE name = 'recovery_min_apply_delay'";
        for _ in 0..100 {
            if client.query_one(query, &[]).await?.get::<_, i64>(0) == i64::from(ms) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        bail!("the replica does not take the delay over")
    }
}
