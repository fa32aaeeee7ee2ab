//! HAProxy while it runs: started, asked, and given new instances without losing a connection.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use nix::sys::signal::Signal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use crate::children::{Recipe, send};
use crate::cluster::LocalCluster;
use crate::files;
use crate::haproxy::{Balancer, Server, text};
use crate::programs::role_binary;
use crate::role::Role;
use crate::roles::local;
use crate::routes::{Rule, prefix_rules};
use crate::stores::Store;

/// The role that gets what no rule names.
pub(crate) const DEFAULT: Role = Role::ClientReader;

/// What the balancer learns from the roles.
#[derive(Debug, Default)]
pub(crate) struct Routing {
    pub(crate) rules: Vec<Rule>,
    /// The roles that serve HTTP.
    pub(crate) roles: Vec<Role>,
}

impl LocalCluster {
    /// Asks the roles' binaries what they serve.
    pub(crate) async fn read_routes(&mut self) -> anyhow::Result<()> {
        let mut tables: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut roles = vec![DEFAULT];
        for role in Role::all() {
            // A role that was not built serves nothing.
            let Ok(binary) = role_binary(&self.options.bin_dir, role.as_str()) else {
                continue;
            };
            let json = self
                .children
                .spawner()
                .run(&binary, ["--routes"], None, &[])
                .await?;
            let routes: Vec<(String, String)> =
                serde_json::from_slice(&json).with_context(|| format!("the routes of {role}"))?;
            if !routes.is_empty() && !roles.contains(role) {
                roles.push(*role);
            }
            let paths = routes.into_iter().map(|(_, path)| path).collect();
            tables.insert(role.as_str().to_owned(), paths);
        }
        let rules = prefix_rules(&tables, DEFAULT.as_str())?;
        self.routing = Routing { rules, roles };
        Ok(())
    }

    pub(crate) async fn start_haproxy(&self) -> anyhow::Result<()> {
        self.write_haproxy_config().await?;
        let config = self.folder.haproxy_config();
        let recipe = Recipe {
            name: Store::Haproxy.as_str().to_owned(),
            program: self.programs.haproxy.clone(),
            arguments: vec!["-W".into(), "-f".into(), config.into()],
            environment: Vec::new(),
            directory: PathBuf::from("/"),
            user: None,
            // The workers see their master go and end, too.
            death: "KILL",
            log: self.folder.log(Store::Haproxy.as_str()),
            remove_before: None,
        };
        self.children.start(recipe).await?;
        self.wait_store(Store::Haproxy).await
    }

    /// Tells HAProxy which instances there are now. Connections are kept; returns when new requests
    /// follow the new list.
    ///
    /// # Errors
    /// HAProxy does not run or refuses the new configuration.
    pub async fn reload_haproxy(&self) -> anyhow::Result<()> {
        let master = self.children.pid(Store::Haproxy.as_str())?;
        self.write_haproxy_config().await?;
        let before = self.worker().await;
        send(master, Signal::SIGUSR2)?;
        for _ in 0..500 {
            let now = self.worker().await;
            if now.is_some() && now != before {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        bail!(
            "HAProxy does not take its new configuration; {}",
            self.folder.log("haproxy").display()
        )
    }

    /// The process number of the worker that takes new connections.
    pub(crate) async fn worker(&self) -> Option<u32> {
        let asked = async {
            let mut stream = UnixStream::connect(self.folder.haproxy_socket())
                .await
                .ok()?;
            stream.write_all(b"show info\n").await.ok()?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.ok()?;
            answer
                .lines()
                .find_map(|line| line.strip_prefix("Pid: ")?.trim().parse().ok())
        };
        tokio::time::timeout(Duration::from_secs(1), asked)
            .await
            .ok()?
    }

    /// The configuration for the instances there are.
    pub(crate) fn haproxy_text(&self) -> String {
        let backends = self.routing.roles.iter().map(|role| {
            let of_role = self.members.iter().filter(|((other, _), _)| other == role);
            let servers = of_role.map(|((role, number), ports)| Server {
                name: format!("{role}-{number}"),
                http: ports.http,
                admin: ports.admin,
            });
            (role.as_str(), servers.collect())
        });
        text(&Balancer {
            plain: local(self.store_ports.plain),
            tls: (self.options.tls_address, self.store_ports.tls).into(),
            bundle: &self.folder.secret("haproxy.pem"),
            socket: &self.folder.haproxy_socket(),
            metrics: self.store_ports.haproxy_metrics,
            connections: self.connections,
            rules: &self.routing.rules,
            default: DEFAULT.as_str(),
            backends: backends.collect(),
        })
    }

    /// HAProxy's master falls back to waiting if it is given a file with an error: it is checked
    /// before it is in place.
    pub(crate) async fn write_haproxy_config(&self) -> anyhow::Result<()> {
        let path = self.folder.haproxy_config();
        let candidate = path.with_extension("new");
        files::write(&candidate, self.haproxy_text().as_bytes(), 0o600)?;
        let arguments = ["-c".as_ref(), "-f".as_ref(), candidate.as_os_str()];
        self.children
            .spawner()
            .run(&self.programs.haproxy, arguments, None, &[])
            .await?;
        std::fs::rename(&candidate, &path).with_context(|| format!("write {}", path.display()))
    }
}
