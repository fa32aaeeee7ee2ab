//! The running processes: started, watched, ended, and started again if that is wanted.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::Child;
use tokio::sync::watch;

use crate::files;
use crate::leftovers;
use crate::spawner::Spawner;
use crate::store_user::StoreUser;

/// After so many deaths in a row, who waits for it to become ready is told.
const HOPELESS: u32 = 4;

/// How a process is started, the first time and again.
#[derive(Debug, Clone)]
pub(crate) struct Recipe {
    pub(crate) name: String,
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<OsString>,
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) directory: PathBuf,
    pub(crate) user: Option<StoreUser>,
    /// The signal it gets when the launcher dies.
    pub(crate) death: &'static str,
    pub(crate) log: PathBuf,
    /// A file that tells of the earlier process.
    pub(crate) remove_before: Option<PathBuf>,
}

#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) recipe: Recipe,
    pub(crate) pid: u32,
    pub(crate) exit: watch::Receiver<Option<ExitStatus>>,
    /// It is to run; else its end is no accident.
    pub(crate) wanted: bool,
    /// Deaths in a row.
    pub(crate) deaths: u32,
    pub(crate) restarts: u32,
}

/// How a process stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Standing {
    /// Of the running process.
    pub(crate) pid: Option<u32>,
    /// How often it was started again by itself.
    pub(crate) restarts: u32,
}

/// The table of processes, by name.
#[derive(Debug)]
pub(crate) struct Children {
    spawner: Spawner,
    pub(crate) restart: bool,
    pub(crate) pids: PathBuf,
    table: Mutex<BTreeMap<String, Entry>>,
}

impl Children {
    pub(crate) fn new(spawner: Spawner, restart: bool, pids: PathBuf) -> Arc<Self> {
        Arc::new(Self {
            spawner,
            restart,
            pids,
            table: Mutex::default(),
        })
    }

    pub(crate) fn spawner(&self) -> &Spawner {
        &self.spawner
    }

    pub(crate) fn table(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a process under the recipe's name, in place of one that has ended.
    ///
    /// # Errors
    /// It runs already, or cannot be started.
    pub(crate) async fn start(self: &Arc<Self>, recipe: Recipe) -> anyhow::Result<()> {
        let name = recipe.name.clone();
        if self
            .standing(&name)
            .is_some_and(|standing| standing.pid.is_some())
        {
            bail!("{name} is running");
        }
        let (child, pid) = self.launch(&recipe).await?;
        let (ended, exit) = watch::channel(None);
        let entry = Entry {
            recipe,
            pid,
            exit,
            wanted: true,
            deaths: 0,
            restarts: 0,
        };
        self.table().insert(name.clone(), entry);
        tokio::spawn(self.clone().watch(name, child, pid, ended));
        Ok(())
    }

    /// Starts one that has ended, as it was started before.
    pub(crate) async fn start_again(self: &Arc<Self>, name: &str) -> anyhow::Result<()> {
        let recipe = self.table().get(name).map(|entry| entry.recipe.clone());
        self.start(recipe.ok_or_else(|| unknown(name))?).await
    }

    /// Sends a signal; waits until the process has ended; kills it after `limit`.
    ///
    /// # Errors
    /// There is no such process.
    pub(crate) async fn stop(
        &self,
        name: &str,
        signal: Signal,
        limit: Duration,
    ) -> anyhow::Result<ExitStatus> {
        let (pid, mut exit) = {
            let mut table = self.table();
            let entry = table.get_mut(name).ok_or_else(|| unknown(name))?;
            entry.wanted = false;
            (entry.pid, entry.exit.clone())
        };
        if exit.borrow().is_none() {
            send(pid, signal)?;
            // A stopped process would sleep through all but SIGKILL.
            send(pid, Signal::SIGCONT)?;
            if tokio::time::timeout(limit, exit.wait_for(Option::is_some))
                .await
                .is_err()
            {
                tracing::warn!(name, "does not end, killing it");
                send(pid, Signal::SIGKILL)?;
            }
        }
        let status = *exit.wait_for(Option::is_some).await?;
        Ok(status.unwrap_or_default())
    }

    /// Forgets a process that has ended.
    pub(crate) fn remove(&self, name: &str) {
        self.table().remove(name);
    }

    /// The process number of a running process.
    ///
    /// # Errors
    /// It does not run.
    pub(crate) fn pid(&self, name: &str) -> anyhow::Result<u32> {
        let standing = self.standing(name).ok_or_else(|| unknown(name))?;
        standing.pid.ok_or_else(|| anyhow!("{name} is not running"))
    }

    pub(crate) fn standing(&self, name: &str) -> Option<Standing> {
        let table = self.table();
        let entry = table.get(name)?;
        let running = entry.exit.borrow().is_none();
        Some(Standing {
            pid: running.then_some(entry.pid),
            restarts: entry.restarts,
        })
    }

    /// # Errors
    /// It has died and does not come back: the end of its log.
    pub(crate) fn check(&self, name: &str) -> anyhow::Result<()> {
        let table = self.table();
        let entry = table.get(name).ok_or_else(|| unknown(name))?;
        let status = *entry.exit.borrow();
        match status {
            Some(status) if !self.restart || !entry.wanted || entry.deaths >= HOPELESS => {
                bail!(
                    "{name} ended: {status}; the end of {}",
                    files::tail(&entry.recipe.log)
                )
            }
            _ => Ok(()),
        }
    }

    /// Signals all at once and waits for none: for when there is no time left.
    pub(crate) fn abandon(&self) {
        for entry in self.table().values_mut() {
            entry.wanted = false;
            if entry.exit.borrow().is_none() {
                // PostgreSQL has children that a SIGKILL would leave to find out for themselves.
                let signal = if entry.recipe.death == "KILL" {
                    Signal::SIGKILL
                } else {
                    Signal::SIGQUIT
                };
                if send(entry.pid, signal)
                    .and_then(|()| send(entry.pid, Signal::SIGCONT))
                    .is_err()
                {
                    tracing::warn!(name = entry.recipe.name, "cannot be ended");
                }
            }
        }
    }

    pub(crate) async fn launch(&self, recipe: &Recipe) -> anyhow::Result<(Child, u32)> {
        if let Some(file) = &recipe.remove_before {
            files::remove(file)?;
        }
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(&recipe.log);
        let log = log.with_context(|| format!("open {}", recipe.log.display()))?;
        let mut command = self
            .spawner
            .command(&recipe.program, recipe.user.as_ref(), recipe.death);
        command
            .args(&recipe.arguments)
            .envs(recipe.environment.iter().map(|(key, value)| (key, value)))
            .current_dir(&recipe.directory)
            .stdout(log.try_clone()?)
            .stderr(log);
        let child = self.spawner.spawn(command).await;
        let child = child.with_context(|| format!("start {}", recipe.name))?;
        let pid = child.id().unwrap_or_default();
        leftovers::note(&self.pids, &recipe.name, pid)?;
        Ok((child, pid))
    }
}

fn unknown(name: &str) -> anyhow::Error {
    anyhow!("there is no process `{name}`")
}

/// Sends a signal to one process; one that has just ended is no error.
pub(crate) fn send(pid: u32, signal: Signal) -> anyhow::Result<()> {
    match kill(Pid::from_raw(i32::try_from(pid)?), signal) {
        Ok(()) | Err(nix::errno::Errno::ESRCH) => Ok(()),
        Err(error) => Err(error).with_context(|| format!("send {signal} to process {pid}")),
    }
}
