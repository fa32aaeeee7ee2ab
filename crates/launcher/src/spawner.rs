//! The one thread that starts processes.
//!
//! A child's death signal is tied to the *thread* that started it, so none is started by a thread of
//! the runtime, which may end before the cluster does. When this thread ends, with the process
//! (however that ends) or with the last [`Spawner`], every child gets its signal.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::mpsc;

use anyhow::{Context as _, anyhow, bail};
use tokio::process::{Child, Command};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::store_user::StoreUser;

struct Job {
    command: Command,
    reply: oneshot::Sender<std::io::Result<Child>>,
}

/// Starts processes that die with it.
#[derive(Debug)]
pub(crate) struct Spawner {
    jobs: mpsc::Sender<Job>,
    setpriv: PathBuf,
}

impl Spawner {
    /// Must be called inside a tokio runtime, which will wait for the children.
    pub(crate) fn start(setpriv: &Path) -> anyhow::Result<Self> {
        let (jobs, queue) = mpsc::channel::<Job>();
        let runtime = Handle::current();
        std::thread::Builder::new()
            .name("spawner".to_owned())
            .spawn(move || {
                let _entered = runtime.enter();
                for mut job in queue {
                    if let Err(Ok(mut orphan)) = job.reply.send(job.command.spawn()) {
                        // Nobody waits any more.
                        drop(orphan.start_kill());
                    }
                }
            })
            .context("start the thread that starts processes")?;
        Ok(Self {
            jobs,
            setpriv: setpriv.to_owned(),
        })
    }

    /// A command that becomes `user` and gets the signal `death` when the launcher dies. It has a
    /// process group of its own, so that Ctrl-C in a terminal reaches the launcher only.
    pub(crate) fn command(&self, program: &Path, user: Option<&StoreUser>, death: &str) -> Command {
        let mut command = Command::new(&self.setpriv);
        if let Some(user) = user {
            command.args(user.arguments());
        }
        command
            .arg(format!("--pdeathsig={death}"))
            .arg("--")
            .arg(program);
        command.stdin(Stdio::null()).process_group(0);
        // A developer's own overrides are not this cluster's.
        for (key, _) in std::env::vars_os() {
            if key.to_str().is_some_and(|key| key.starts_with("GANGLION_")) {
                command.env_remove(key);
            }
        }
        command
    }

    /// Starts it.
    pub(crate) async fn spawn(&self, command: Command) -> anyhow::Result<Child> {
        let (reply, answer) = oneshot::channel();
        let gone = || anyhow!("the thread that starts processes is gone");
        self.jobs
            .send(Job { command, reply })
            .ok()
            .ok_or_else(gone)?;
        Ok(answer.await.ok().ok_or_else(gone)??)
    }

    /// Runs a program to its end and returns its standard output.
    ///
    /// # Errors
    /// It cannot be started or fails: what it said.
    pub(crate) async fn run<A: AsRef<OsStr>>(
        &self,
        program: &Path,
        arguments: impl IntoIterator<Item = A>,
        user: Option<&StoreUser>,
        environment: &[(&str, &str)],
    ) -> anyhow::Result<Vec<u8>> {
        let mut command = self.command(program, user, "KILL");
        command
            .args(arguments)
            .envs(environment.iter().copied())
            .current_dir("/")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let what = || format!("run {}", program.display());
        let child = self.spawn(command).await.with_context(what)?;
        let output = child.wait_with_output().await.with_context(what)?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        bail!(
            "{}: {}\n{}{}",
            program.display(),
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr).trim_end(),
        )
    }
}
