//! `ganglion users`: how accounts stand. Changes are commands to the running cluster, as any role
//! sends them, and hold on every instance at once.

use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use ganglion_cluster::{Cluster, Commands, Join};
use ganglion_config::Config;
use ganglion_launcher::connect;
use ganglion_model::{Clock, CommandId};
use ganglion_proto::persister::SetStanding;
use ganglion_proto::persister::user_command;
use ganglion_rpc::RpcClients;
use ganglion_storage::Database;
use ruma::UserId;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::commands::ConfigFile;
use crate::output::say;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Prints all accounts that are locked, suspended or an administrator's
    List(ConfigFile),
    /// Makes an account an administrator's
    MakeAdmin(One),
    /// Makes an administrator's account an ordinary one
    RevokeAdmin(One),
    /// Locks an account: nothing is served to it but a logout
    Lock(One),
    /// Unlocks an account
    Unlock(One),
    /// Suspends an account: it may read, leave and redact its own events; of what others see
    /// only receipts and being online are its
    Suspend(One),
    /// Ends a suspension
    Unsuspend(One),
}

#[derive(Args)]
pub(crate) struct One {
    /// A configuration file of client-reader, with its certificate
    #[command(flatten)]
    config: ConfigFile,
    /// The whole user id, or the part before the colon
    user: String,
}

impl Command {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let none = SetStanding::default();
        let (one, set) = match self {
            Self::List(config) => return list(&config).await,
            Self::MakeAdmin(one) => (
                one,
                SetStanding {
                    administrator: Some(true),
                    ..none
                },
            ),
            Self::RevokeAdmin(one) => (
                one,
                SetStanding {
                    administrator: Some(false),
                    ..none
                },
            ),
            Self::Lock(one) => (
                one,
                SetStanding {
                    locked: Some(true),
                    ..none
                },
            ),
            Self::Unlock(one) => (
                one,
                SetStanding {
                    locked: Some(false),
                    ..none
                },
            ),
            Self::Suspend(one) => (
                one,
                SetStanding {
                    suspended: Some(true),
                    ..none
                },
            ),
            Self::Unsuspend(one) => (
                one,
                SetStanding {
                    suspended: Some(false),
                    ..none
                },
            ),
        };
        one.set(set).await
    }
}

impl One {
    async fn set(self, set: SetStanding) -> anyhow::Result<()> {
        let config = self.config.load()?;
        let name = self.user.trim_start_matches('@');
        let user = match name.split_once(':') {
            Some(_) => format!("@{name}"),
            None => format!("@{name}:{}", config.server.name),
        };
        let user = UserId::parse(user).context("the user id")?;
        if user.server_name().as_str() != config.server.name {
            bail!("{user} is no user of {}", config.server.name);
        }
        let command = user_command::Command::SetStanding(set);
        send(&config, &user, command).await?;
        say(user.as_str());
        Ok(())
    }
}

/// Joins the cluster for the time of one command.
async fn send(
    config: &Config,
    user: &UserId,
    command: user_command::Command,
) -> anyhow::Result<()> {
    let instance = Uuid::new_v4();
    let db = Database::open(&config.postgres, &format!("ganglion/tool/{instance}"));
    let db = db.map_err(anyhow::Error::msg)?;
    db.check_schema().await.map_err(anyhow::Error::msg)?;
    let stop = CancellationToken::new();
    let cluster = Cluster::join(Join {
        db,
        role: "tool",
        instance,
        rpc_address: None,
        settings: config.cluster.clone(),
        clock: Clock::system(),
        stop: stop.clone(),
        tasks: TaskTracker::new(),
    })
    .await?;
    let rpc = RpcClients::new(&config.rpc).map_err(anyhow::Error::msg)?;
    let deadline = Duration::from_millis(config.rpc.deadline_ms);
    let commands = Commands::new(cluster.clone(), rpc, deadline);
    let done = commands.user(user, CommandId::random(), command).await;
    cluster.leave().await;
    stop.cancel();
    done?;
    Ok(())
}

async fn list(config: &ConfigFile) -> anyhow::Result<()> {
    let postgres = config.postgres()?;
    let client = connect(&postgres.primary, postgres.password_file.as_deref()).await?;
    let query = "SELECT u.user_id, a.kind = 1, a.locked, a.suspended
                 FROM accounts a JOIN users u ON u.user_nid = a.user_nid
                 WHERE a.deactivated_at IS NULL AND (a.kind = 1 OR a.locked OR a.suspended)
                 ORDER BY u.user_id";
    for row in client.query(query, &[]).await? {
        let user: String = row.get(0);
        let flags = ["administrator", "locked", "suspended"];
        let set = flags.into_iter().enumerate();
        let set = set.filter(|(index, _)| row.get::<_, bool>(index + 1));
        let set: Vec<&str> = set.map(|(_, flag)| flag).collect();
        say(&format!("{user:<40} {}", set.join(", ")));
    }
    Ok(())
}
