//! PostgreSQL: the primary and its streaming replica.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;

use crate::children::{Children, Recipe};
use crate::database;
use crate::files;
use crate::folder::Folder;
use crate::programs::Programs;
use crate::secrets::{REPLICATION_USER, SUPERUSER, Secrets};
use crate::store_user::StoreUser;
use crate::wait;

/// A replica of an earlier run that has not caught up by then is made anew.
const CATCH_UP: Duration = Duration::from_secs(20);

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Server {
    Primary,
    Replica,
}

impl Server {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Replica => "replica",
        }
    }
}

/// What both servers need to know.
pub(crate) struct Postgres<'a> {
    pub(crate) folder: &'a Folder,
    pub(crate) programs: &'a Programs,
    pub(crate) user: Option<&'a StoreUser>,
    pub(crate) secrets: &'a Secrets,
    pub(crate) primary: u16,
    pub(crate) replica: u16,
    pub(crate) durable: bool,
}

impl Postgres<'_> {
    /// Starts the primary and makes users and database; at the first start its data, too.
    pub(crate) async fn start_primary(
        &self,
        children: &std::sync::Arc<Children>,
    ) -> anyhow::Result<()> {
        let data = self.data(Server::Primary);
        if !data.join("PG_VERSION").exists() {
            tracing::info!("making the database");
            self.make_data(children, &data)
                .await
                .context("make the database")?;
        }
        self.configure(Server::Primary)?;
        children.start(self.recipe(Server::Primary)).await?;
        self.wait(children, Server::Primary).await?;
        database::prepare(|name| self.dsn(Server::Primary, name), self.secrets).await
    }

    /// Starts the replica, cloned from the primary if it is missing or cannot follow any more.
    pub(crate) async fn start_replica(
        &self,
        children: &std::sync::Arc<Children>,
    ) -> anyhow::Result<()> {
        let replica = Server::Replica.name();
        let fresh = !self.data(Server::Replica).join("PG_VERSION").exists();
        if fresh {
            self.clone_primary(children).await?;
        }
        self.configure(Server::Replica)?;
        children.start(self.recipe(Server::Replica)).await?;
        let limit = if fresh { wait::PATIENCE } else { CATCH_UP };
        let Err(error) = self.wait_streaming(children, limit).await else {
            return self.wait(children, Server::Replica).await;
        };
        if fresh {
            return Err(error);
        }
        tracing::warn!(
            error = format!("{error:#}"),
            "the replica cannot follow, cloning it anew"
        );
        children
            .stop(
                replica,
                nix::sys::signal::Signal::SIGQUIT,
                Duration::from_secs(5),
            )
            .await?;
        self.clone_primary(children).await?;
        self.configure(Server::Replica)?;
        children.start_again(replica).await?;
        self.wait_streaming(children, wait::PATIENCE).await?;
        self.wait(children, Server::Replica).await
    }

    /// Waits until a server takes connections.
    pub(crate) async fn wait(&self, children: &Children, server: Server) -> anyhow::Result<()> {
        let dsn = self.dsn(server, SUPERUSER);
        let what = format!("waiting for the {}", server.name());
        wait::until(
            children,
            &[server.name()],
            &what,
            wait::PATIENCE,
            || async { Ok(database::answers(&dsn).await) },
        )
        .await
    }

    /// Waits until the replica receives what the primary writes.
    pub(crate) async fn wait_streaming(
        &self,
        children: &Children,
        limit: Duration,
    ) -> anyhow::Result<()> {
        let dsn = self.dsn(Server::Primary, SUPERUSER);
        let names = [Server::Primary.name(), Server::Replica.name()];
        wait::until(
            children,
            &names,
            "waiting for the replica to follow",
            limit,
            || database::is_streaming(&dsn),
        )
        .await
    }

    /// The superuser's address of a database.
    pub(crate) fn dsn(&self, server: Server, database: &str) -> String {
        let port = self.port(server);
        let password = &self.secrets.superuser;
        format!("host=127.0.0.1 port={port} dbname={database} user={SUPERUSER} password={password}")
    }

    const fn port(&self, server: Server) -> u16 {
        match server {
            Server::Primary => self.primary,
            Server::Replica => self.replica,
        }
    }

    fn data(&self, server: Server) -> PathBuf {
        self.folder.root().join("postgres").join(server.name())
    }

    async fn make_data(&self, children: &Children, data: &Path) -> anyhow::Result<()> {
        remove_folder(data)?;
        let password = self.folder.root().join("postgres/password");
        files::write(&password, self.secrets.superuser.as_bytes(), 0o600)?;
        if let Some(user) = self.user {
            user.own(&password)?;
        }
        // A half-made folder of an interrupted start must not be taken for data.
        let partial = data.with_extension("partial");
        remove_folder(&partial)?;
        let mut arguments = vec![
            format!("--pgdata={}", partial.display()),
            format!("--username={SUPERUSER}"),
            format!("--pwfile={}", password.display()),
            "--encoding=UTF8".to_owned(),
            "--locale=C.UTF-8".to_owned(),
            "--auth=scram-sha-256".to_owned(),
        ];
        if !self.durable {
            arguments.push("--no-sync".to_owned());
        }
        children
            .spawner()
            .run(&self.programs.initdb, arguments, self.user, &[])
            .await?;
        files::remove(&password)?;
        Ok(std::fs::rename(&partial, data)?)
    }

    async fn clone_primary(&self, children: &Children) -> anyhow::Result<()> {
        let data = self.data(Server::Replica);
        let partial = data.with_extension("partial");
        remove_folder(&data)?;
        remove_folder(&partial)?;
        let mut arguments = vec![
            format!("--pgdata={}", partial.display()),
            format!("--dbname={}", self.follow()),
            "--wal-method=stream".to_owned(),
            "--checkpoint=fast".to_owned(),
        ];
        if !self.durable {
            arguments.push("--no-sync".to_owned());
        }
        let program = &self.programs.pg_basebackup;
        let done = children
            .spawner()
            .run(program, arguments, self.user, &[])
            .await;
        done.context("clone the primary")?;
        Ok(std::fs::rename(&partial, &data)?)
    }

    /// How the replica reaches the primary.
    fn follow(&self) -> String {
        format!(
            "host=127.0.0.1 port={} user={REPLICATION_USER} password={} application_name=replica",
            self.primary, self.secrets.replication,
        )
    }

    /// Writes a server's own files anew: ports may have changed since it last ran, and what was set
    /// by ALTER SYSTEM, such as a standby to wait for, is not to outlive the run.
    fn configure(&self, server: Server) -> anyhow::Result<()> {
        let data = self.data(server);
        let mut written = vec![
            ("postgresql.conf", self.settings(server)),
            ("postgresql.auto.conf", String::new()),
            ("pg_hba.conf", ACCESS.to_owned()),
        ];
        if server == Server::Replica {
            written.push(("standby.signal", String::new()));
        }
        for (name, text) in written {
            let path = data.join(name);
            files::write(&path, text.as_bytes(), 0o600)?;
            if let Some(user) = self.user {
                user.own(&path)?;
            }
        }
        Ok(())
    }

    fn settings(&self, server: Server) -> String {
        let mut text = format!("port = {}\n{SETTINGS}", self.port(server));
        if !self.durable {
            text.push_str("fsync = off\nfull_page_writes = off\n");
        }
        if server == Server::Replica {
            text.push_str(&format!("primary_conninfo = '{}'\n", self.follow()));
        }
        text
    }

    fn recipe(&self, server: Server) -> Recipe {
        Recipe {
            name: server.name().to_owned(),
            program: self.programs.postgres.clone(),
            arguments: vec!["-D".into(), self.data(server).into()],
            environment: vec![("LC_ALL".to_owned(), "C.UTF-8".to_owned())],
            directory: PathBuf::from("/"),
            user: self.user.cloned(),
            // Its own children must end, too; a fast shutdown sees to that.
            death: "INT",
            log: self.folder.log(server.name()),
            remove_before: None,
        }
    }
}

/// No Unix sockets: their paths are limited, and all of the folder's are long.
const SETTINGS: &str = "\
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 300
password_encryption = 'scram-sha-256'
wal_level = replica
max_wal_senders = 10
wal_keep_size = '256MB'
max_wal_size = '1GB'
hot_standby = on
max_standby_streaming_delay = '1s'
wal_receiver_status_interval = '1s'
wal_retrieve_retry_interval = '200ms'
idle_in_transaction_session_timeout = '60s'
timezone = 'UTC'
log_timezone = 'UTC'
log_line_prefix = '%m [%p] %q%u@%d %a '
";

const ACCESS: &str = "\
host all         all 127.0.0.1/32 scram-sha-256
host replication all 127.0.0.1/32 scram-sha-256
";

fn remove_folder(path: &Path) -> anyhow::Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove {}", path.display()))
        }
        _ => Ok(()),
    }
}
