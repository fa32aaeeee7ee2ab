//! Black-box load on a homeserver; benches/README.md.

mod client;
mod cpu;
mod fanout;
mod report;
mod sends;

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use serde::Deserialize;

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    scenario: Scenario,
}

#[derive(Subcommand)]
enum Scenario {
    /// Messages into many rooms at once
    Sends(sends::Sends),
    /// Messages to members who wait in /sync
    Fanout(fanout::Fanout),
}

/// The homeserver under load.
#[derive(Args)]
struct Target {
    /// The folder of a cluster that `ganglion up` runs
    #[arg(long, default_value = ".ganglion")]
    folder: PathBuf,
    /// The address of another homeserver
    #[arg(long)]
    url: Option<String>,
    /// Its processes, with their children, whose CPU time is counted
    #[arg(long)]
    pid: Vec<u32>,
}

#[derive(Deserialize)]
struct Facts {
    client_url_plain: String,
}

impl Target {
    /// The address, and the processes to watch.
    fn find(&self) -> anyhow::Result<(String, cpu::Watch)> {
        if let Some(url) = &self.url {
            return Ok((url.clone(), cpu::Watch::of(&self.pid)));
        }
        let path = self.folder.join("cluster.json");
        let json = std::fs::read(&path).with_context(|| format!("{}", path.display()))?;
        let facts: Facts = serde_json::from_slice(&json)?;
        Ok((facts.client_url_plain, cpu::Watch::of_folder(&self.folder)?))
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    if rustls::crypto::ring::default_provider()
        .install_default()
        .is_err()
    {
        anyhow::bail!("a TLS provider is installed already");
    }
    match Arguments::parse().scenario {
        Scenario::Sends(sends) => sends.run().await,
        Scenario::Fanout(fanout) => fanout.run().await,
    }
}
