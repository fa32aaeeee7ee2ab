//! Waiting until all of it works.

use anyhow::Context as _;
use ganglion_model::shard::{ALL_SHARDS, FOLLOWED_SHARDS};

use crate::balancer::DEFAULT;
use crate::cluster::LocalCluster;
use crate::database;
use crate::postgres::Server;
use crate::probe;
use crate::role::Role;
use crate::roles::local;
use crate::stores::Store;
use crate::wait;

impl LocalCluster {
    pub(crate) async fn wait_ready(&self) -> anyhow::Result<()> {
        for (role, number) in self.members.keys() {
            self.wait_member(&format!("{role}-{number}")).await?;
        }
        if self
            .members
            .keys()
            .any(|(role, _)| *role == Role::EventPersister)
        {
            self.wait_owners().await?;
        }
        if self.members.keys().any(|(role, _)| *role == DEFAULT) {
            self.wait_clients_served().await?;
        }
        Ok(())
    }

    /// Waits until an instance says that it is ready.
    pub(crate) async fn wait_member(&self, name: &str) -> anyhow::Result<()> {
        let (_, ports) = self.member(name)?;
        let what = format!("waiting for {name}");
        wait::until(&self.children, &[name], &what, wait::PATIENCE, || async {
            let ready = probe::status(local(ports.admin), "/ready").await == Some(200);
            Ok(ready && self.addresses(name).is_some())
        })
        .await
    }

    /// Waits until running instances own all shards of the roles that run.
    async fn wait_owners(&self) -> anyhow::Result<()> {
        let dsn = self.postgres().dsn(Server::Primary, "ganglion");
        let client = database::connect(&dsn, None).await?;
        let names: Vec<_> = self
            .members
            .keys()
            .map(|(role, number)| format!("{role}-{number}"))
            .collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        let pushers = self.members.keys().any(|(role, _)| *role == Role::Pusher);
        let shards = if pushers { ALL_SHARDS } else { FOLLOWED_SHARDS };
        let query = "SELECT count(*) FILTER (WHERE owner = ANY ($1)) = count(*) FROM shards \
            WHERE shard < $2";
        let what = "waiting for owners of all shards";
        wait::until(&self.children, &names, what, wait::PATIENCE, || async {
            let facts = self.facts();
            let ours: Vec<_> = facts
                .processes
                .iter()
                .map(|process| process.instance)
                .collect();
            let row = client
                .query_one(query, &[&ours, &i16::from(shards)])
                .await
                .context("look for owners")?;
            Ok(row.get(0))
        })
        .await
    }

    /// Waits until a client is served on both ports.
    async fn wait_clients_served(&self) -> anyhow::Result<()> {
        let path = "/_matrix/client/versions";
        let authority = self.folder.secret("client-ca.crt");
        let (plain, tls) = (local(self.store_ports.plain), local(self.store_ports.tls));
        let names = [Store::Haproxy.as_str()];
        wait::until(
            &self.children,
            &names,
            "waiting for HAProxy",
            wait::PATIENCE,
            || async {
                Ok(probe::status(plain, path).await == Some(200)
                    && probe::tls_status(tls, path, &authority).await? == Some(200))
            },
        )
        .await
    }
}
