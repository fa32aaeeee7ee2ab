//! `ganglion up`

mod greeting;

use std::io::IsTerminal as _;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use ganglion_config::LogFormat;
use ganglion_launcher::{Asked, Control, Facts, LocalCluster, Options, Reply, Request, Role};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::commands::Folder;

/// Starts PostgreSQL with a synchronous replica, Redis, HAProxy and the roles, all in one folder, and
/// restarts what dies. A second start continues with the folder's data.
#[derive(Args)]
pub(crate) struct Up {
    #[command(flatten)]
    folder: Folder,
    /// Where the roles' binaries are [default: where this program is]
    #[arg(long, value_name = "FOLDER")]
    bin_dir: Option<PathBuf>,
    /// The name after the colon in user ids; it cannot change later
    #[arg(long, default_value = "localhost")]
    server_name: String,
    /// The port for clients with TLS
    #[arg(long, default_value_t = 8448)]
    tls_port: u16,
    /// The address of the port with TLS; 0.0.0.0 lets other machines in
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    tls_address: IpAddr,
    /// The port for clients without TLS, on 127.0.0.1
    #[arg(long, default_value_t = 8008)]
    plain_port: u16,
    /// Who may register
    #[arg(long, value_enum, default_value_t = Registration::Open)]
    registration: Registration,
    /// Commits do not wait for the replica
    #[arg(long)]
    no_synchronous_standby: bool,
    /// How many client-readers
    #[arg(long, default_value_t = 2)]
    readers: usize,
    /// How many event-persisters
    #[arg(long, default_value_t = 2)]
    persisters: usize,
    /// How many pushers
    #[arg(long, default_value_t = 2)]
    pushers: usize,
    /// The roles' logs as JSON, one object a line
    #[arg(long)]
    json_logs: bool,
    /// A setting of all roles (docs/configuration.md), e.g. `rooms.default_version="11"`
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE", value_parser = setting)]
    settings: Vec<(String, String)>,
    /// Ends when the program that started this one ends
    #[arg(long)]
    die_with_parent: bool,
}

/// A setting in the form that is asked for; whether it exists the roles say.
fn setting(text: &str) -> Result<(String, String), &'static str> {
    let (key, value) = text.split_once('=').ok_or("there is no `=`")?;
    match key.split_once('.') {
        Some((section, key)) if !section.is_empty() && !key.is_empty() => {}
        _ => return Err("the setting is named `section.key`"),
    }
    Ok((key.to_owned(), value.to_owned()))
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Registration {
    Open,
    Token,
    Disabled,
}

impl Registration {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Token => "token",
            Self::Disabled => "disabled",
        }
    }
}

impl Up {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        if self.die_with_parent {
            set_pdeathsig(Signal::SIGTERM).context("ask to die with the parent")?;
        }
        log_progress()?;
        let mut signals = Signals::new()?;
        let folder = self.folder.path();
        let facts_file = folder.join("cluster.json");
        // A launcher that was killed could not remove it.
        remove(&facts_file)?;
        let mut cluster = tokio::select! {
            started = LocalCluster::start(self.options(&folder)?) => started?,
            // Dropping the start kills what it has started.
            () = signals.next() => bail!("interrupted"),
        };
        let control = Control::listen(&folder)?;
        let facts = cluster.facts();
        facts.write(&facts_file)?;
        greeting::print(&folder, &facts, self.registration)?;
        let served = serve(&mut cluster, control, &mut signals, (&facts_file, facts)).await;
        remove(&facts_file)?;
        tracing::info!("ending; interrupt again to kill everything at once");
        let ended = tokio::select! {
            ended = cluster.shutdown() => ended,
            () = signals.next() => bail!("killed"),
        };
        served.and(ended)
    }

    fn options(&self, folder: &Path) -> anyhow::Result<Options> {
        let bin_dir = match &self.bin_dir {
            Some(named) => named.clone(),
            None => std::env::current_exe()?
                .parent()
                .context("no folder")?
                .to_owned(),
        };
        let mut options = Options::new(folder, bin_dir);
        options.server_name.clone_from(&self.server_name);
        options.tls_port = Some(self.tls_port);
        options.tls_address = self.tls_address;
        options.plain_port = Some(self.plain_port);
        self.registration
            .as_str()
            .clone_into(&mut options.registration);
        options.settings.clone_from(&self.settings);
        options.restart = true;
        options.synchronous_standby = !self.no_synchronous_standby;
        options.counts.insert(Role::ClientReader, self.readers);
        options.counts.insert(Role::EventPersister, self.persisters);
        options.counts.insert(Role::Pusher, self.pushers);
        options.log_format = if self.json_logs {
            LogFormat::Json
        } else {
            LogFormat::Text
        };
        Ok(options)
    }
}

/// Until it is to end: answers requests, and keeps the file of facts as things are.
async fn serve(
    cluster: &mut LocalCluster,
    mut control: Control,
    signals: &mut Signals,
    (file, mut written): (&Path, Facts),
) -> anyhow::Result<()> {
    let mut look = tokio::time::interval(Duration::from_secs(1));
    loop {
        tokio::select! {
            () = signals.next() => return Ok(()),
            _ = look.tick() => {}
            asked = control.next() => {
                let asked = asked.context("the control socket is gone")?;
                let end = asked.request == Request::Down;
                tokio::select! {
                    () = answer(cluster, asked) => {}
                    // Scaling may take long; it is not waited for.
                    () = signals.next() => return Ok(()),
                }
                if end {
                    return Ok(());
                }
            }
        }
        let now = cluster.facts();
        if now != written {
            now.write(file)?;
            written = now;
        }
    }
}

async fn answer(cluster: &mut LocalCluster, asked: Asked) {
    let done = match asked.request {
        Request::Status | Request::Down => Ok(()),
        Request::Scale { role, count } => cluster.scale(role, count).await,
    };
    let error = done.err().map(|error| format!("{error:#}"));
    asked.answer(Reply {
        error,
        members: cluster.status(),
    });
}

/// SIGINT and SIGTERM.
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> anyhow::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

fn log_progress() -> anyhow::Result<()> {
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new("warn,ganglion=info,ganglion_launcher=info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .try_init()
        .map_err(|error| anyhow::anyhow!(error))
}

fn remove(file: &Path) -> anyhow::Result<()> {
    match std::fs::remove_file(file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove {}", file.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::setting;

    #[test]
    fn a_setting_names_section_and_key() {
        let found = setting("rooms.default_version=a=b").unwrap();
        assert_eq!(
            found,
            ("rooms.default_version".to_owned(), "a=b".to_owned())
        );
        for bad in ["", "rooms.default_version", "key=1", ".key=1", "rooms.=1"] {
            setting(bad).unwrap_err();
        }
    }
}
