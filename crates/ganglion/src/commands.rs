//! The subcommands, one per file.

mod config;
mod down;
mod keys;
mod logs;
mod migrate;
mod registration_tokens;
mod reports;
mod scale;
mod status;
mod up;
mod users;

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use ganglion_config::{Config, Postgres};
use ganglion_launcher::{MemberStatus, default_folder};

use crate::output::say;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Runs a whole cluster on this machine until it is interrupted
    Up(Box<up::Up>),
    /// Ends the cluster that runs in a folder
    Down(down::Down),
    /// Shows the processes of the cluster that runs in a folder
    Status(status::Status),
    /// Follows the logs of a cluster, or of one of its processes
    Logs(logs::Logs),
    /// Changes how many instances of a role run
    Scale(scale::Scale),
    /// Brings a database to the newest schema
    Migrate(migrate::Migrate),
    /// Works on configuration files
    #[command(subcommand)]
    Config(config::Command),
    /// Works on signing keys
    #[command(subcommand)]
    Keys(keys::Command),
    /// Works on registration tokens
    #[command(subcommand)]
    RegistrationTokens(registration_tokens::Command),
    /// Works on accounts
    #[command(subcommand)]
    Users(users::Command),
    /// Works on what users have reported
    #[command(subcommand)]
    Reports(reports::Command),
}

impl Command {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Up(arguments) => arguments.run().await,
            Self::Down(arguments) => arguments.run().await,
            Self::Status(arguments) => arguments.run().await,
            Self::Logs(arguments) => arguments.run(),
            Self::Scale(arguments) => arguments.run().await,
            Self::Migrate(arguments) => arguments.run().await,
            Self::Config(command) => command.run(),
            Self::Keys(command) => command.run(),
            Self::RegistrationTokens(command) => command.run().await,
            Self::Users(command) => command.run().await,
            Self::Reports(command) => command.run().await,
        }
    }
}

/// Which cluster of this machine.
#[derive(Args)]
pub(crate) struct Folder {
    /// The cluster's folder [default: .ganglion; for root where others cannot look, /var/lib/ganglion]
    #[arg(long = "folder", value_name = "FOLDER")]
    named: Option<PathBuf>,
}

impl Folder {
    pub(crate) fn path(&self) -> PathBuf {
        self.named.clone().unwrap_or_else(default_folder)
    }
}

/// Which configuration.
#[derive(Args)]
pub(crate) struct ConfigFile {
    /// The configuration file (TOML)
    #[arg(long = "config", value_name = "FILE", env = "GANGLION_CONFIG")]
    path: PathBuf,
}

impl ConfigFile {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads and checks it as a role would, with the overrides of the environment.
    pub(crate) fn load(&self) -> anyhow::Result<Config> {
        Config::load(&self.path, environment()).context("the configuration cannot be used")
    }

    /// Only its `[postgres]`: the files of the other sections need not be on this machine.
    pub(crate) fn postgres(&self) -> anyhow::Result<Postgres> {
        let config = Config::read(&self.path, environment());
        Ok(config.context("the configuration cannot be used")?.postgres)
    }
}

fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)))
}

/// Prints a table of processes.
pub(crate) fn show(members: &[MemberStatus]) {
    say(&format!(
        "{:<20} {:>8} {:>8}  ADMIN",
        "NAME", "PID", "RESTARTS"
    ));
    for member in members {
        let pid = member
            .pid
            .map_or_else(|| "-".to_owned(), |pid| pid.to_string());
        let admin = member.admin_url.as_deref().unwrap_or("");
        say(format!(
            "{:<20} {pid:>8} {:>8}  {admin}",
            member.name, member.restarts
        )
        .trim_end());
    }
}
