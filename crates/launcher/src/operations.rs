//! What is done to a running cluster.

use std::process::ExitStatus;

use anyhow::{Context as _, bail};
use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};

use crate::children::send;
use crate::cluster::{DRAIN, LocalCluster};
use crate::leftovers;
use crate::role::Role;
use crate::roles::InstancePorts;
use crate::stores::Store;

/// How a process stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberStatus {
    /// Its name.
    pub name: String,
    /// Its process number while it runs.
    pub pid: Option<u32>,
    /// How often it has died and was started again.
    pub restarts: u32,
    /// Where its metrics are, for a role.
    pub admin_url: Option<String>,
}

impl LocalCluster {
    /// Starts one more instance of a role, waits until it is ready, and gives it to HAProxy. Returns
    /// its name.
    ///
    /// # Errors
    /// Its binary is missing or it does not become ready.
    pub async fn add(&mut self, role: Role) -> anyhow::Result<String> {
        let name = self.start_member(role).await?;
        self.wait_member(&name).await?;
        self.tell_haproxy(role).await?;
        Ok(name)
    }

    /// Asks an instance to end, waits until it has handed over its work, and takes it out. Of a store
    /// it is the end in good order; [`LocalCluster::restart`] brings that back.
    ///
    /// # Errors
    /// There is no such process.
    pub async fn drain(&mut self, name: &str) -> anyhow::Result<ExitStatus> {
        if let Some(store) = Store::named(name) {
            let (signal, limit) = store.end();
            return self.children.stop(name, signal, limit).await;
        }
        let (key, _) = self.member(name)?;
        let status = self.children.stop(name, Signal::SIGTERM, DRAIN).await?;
        self.children.remove(name);
        self.members.remove(&key);
        self.tell_haproxy(key.0).await?;
        Ok(status)
    }

    /// Kills a process and reaps it. It is not started again by itself, and HAProxy is not told.
    ///
    /// # Errors
    /// There is no such process.
    pub async fn kill(&mut self, name: &str) -> anyhow::Result<()> {
        match Store::named(name) {
            Some(store) => self.kill_store(store).await,
            None => self
                .children
                .stop(name, Signal::SIGKILL, DRAIN)
                .await
                .map(drop),
        }
    }

    /// Starts a process that was killed or has died, with its ports, and waits until it is ready.
    ///
    /// # Errors
    /// It runs, there never was such a process, or it does not become ready.
    pub async fn restart(&mut self, name: &str) -> anyhow::Result<()> {
        if let Some(store) = Store::named(name) {
            return self.start_store(store).await;
        }
        self.children.start_again(name).await?;
        self.wait_member(name).await
    }

    /// Sends a signal, such as SIGSTOP and SIGCONT. These two reach a store's own children, too.
    ///
    /// # Errors
    /// The process does not run.
    pub fn signal(&self, name: &str, signal: Signal) -> anyhow::Result<()> {
        let pid = self.children.pid(name)?;
        let whole = matches!(signal, Signal::SIGSTOP | Signal::SIGCONT);
        let targets = if whole {
            leftovers::tree(pid)
        } else {
            vec![pid]
        };
        targets
            .into_iter()
            .try_for_each(|target| send(target, signal))
    }

    /// Adds or drains instances of a role, the youngest first, until there are `count`.
    ///
    /// # Errors
    /// One cannot be added or drained; those before it are.
    pub async fn scale(&mut self, role: Role, count: usize) -> anyhow::Result<()> {
        loop {
            let now = self
                .members
                .keys()
                .filter(|(other, _)| *other == role)
                .count();
            if now < count {
                self.add(role).await?;
            } else if now > count {
                let last = self.members.keys().rfind(|(other, _)| *other == role);
                let (_, number) = last.context("no instance")?;
                self.drain(&format!("{role}-{number}")).await?;
            } else {
                return Ok(());
            }
        }
    }

    /// How every process stands: the roles', then the stores'.
    #[must_use]
    pub fn status(&self) -> Vec<MemberStatus> {
        let facts = self.facts();
        let members = self
            .members
            .keys()
            .map(|(role, number)| format!("{role}-{number}"));
        let names = members.chain(Store::all().iter().map(|store| store.as_str().to_owned()));
        names
            .filter_map(|name| {
                let standing = self.children.standing(&name)?;
                let process = facts.processes.iter().find(|process| process.name == name);
                Some(MemberStatus {
                    pid: standing.pid,
                    restarts: standing.restarts,
                    admin_url: process.map(|process| process.admin_url.clone()),
                    name,
                })
            })
            .collect()
    }

    pub(crate) fn member(&self, name: &str) -> anyhow::Result<((Role, usize), InstancePorts)> {
        let found = self
            .members
            .iter()
            .find(|((role, number), _)| format!("{role}-{number}") == name);
        match found {
            Some((key, ports)) => Ok((*key, *ports)),
            None => bail!("there is no instance `{name}`"),
        }
    }

    /// A role without HTTP is none of HAProxy's business; a killed HAProxy reads the new list when
    /// it is started.
    async fn tell_haproxy(&self, role: Role) -> anyhow::Result<()> {
        if !self.routing.roles.contains(&role) {
            return Ok(());
        }
        if self.children.pid(Store::Haproxy.as_str()).is_err() {
            return self.write_haproxy_config().await;
        }
        self.reload_haproxy().await
    }
}
