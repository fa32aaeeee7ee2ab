//! One task per process: it reaps it, and starts it again if its end was an accident.

use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::process::Child;
use tokio::sync::watch;

use crate::children::{Children, Entry};
use crate::leftovers;

const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Who has lived this long starts with the first pause again.
const LIVED_WELL: Duration = Duration::from_secs(30);

impl Children {
    /// Reaps the process when it ends, and starts it again if its end was an accident.
    pub(crate) async fn watch(
        self: Arc<Self>,
        name: String,
        mut child: Child,
        mut pid: u32,
        mut ended: watch::Sender<Option<ExitStatus>>,
    ) {
        loop {
            let started = Instant::now();
            // A child that cannot be waited for is gone.
            let status = child
                .wait()
                .await
                .unwrap_or_else(|_| ExitStatus::from_raw(0));
            let again = self.note_end(&name, pid, status, started.elapsed());
            ended.send_replace(Some(status));
            let Some(pause) = again else { return };
            tokio::time::sleep(pause).await;
            match self.relaunch(&name, pid).await {
                Some(next) => (child, pid, ended) = next,
                None => return,
            }
        }
    }

    /// The pause after which it is started again; `None` if it is not.
    fn note_end(
        &self,
        name: &str,
        pid: u32,
        status: ExitStatus,
        lived: Duration,
    ) -> Option<Duration> {
        if leftovers::forget(&self.pids, name, pid).is_err() {
            tracing::warn!(name, "its file with the process number cannot be removed");
        }
        let mut table = self.table();
        let entry = table
            .get_mut(name)
            .filter(|entry| entry.wanted && entry.pid == pid)?;
        entry.deaths = if lived > LIVED_WELL {
            1
        } else {
            entry.deaths + 1
        };
        let pause = (FIRST_PAUSE * 2_u32.saturating_pow(entry.deaths - 1)).min(LONGEST_PAUSE);
        tracing::warn!(name, %status, restart = self.restart, "died");
        self.restart.then_some(pause)
    }

    /// The process that follows process `old`; `None` if that was stopped or replaced meanwhile.
    async fn relaunch(
        &self,
        name: &str,
        old: u32,
    ) -> Option<(Child, u32, watch::Sender<Option<ExitStatus>>)> {
        let follows = |entry: &Entry| entry.wanted && entry.pid == old;
        let mut pause = FIRST_PAUSE;
        loop {
            let recipe = self
                .table()
                .get(name)
                .filter(|entry| follows(entry))?
                .recipe
                .clone();
            match self.launch(&recipe).await {
                Ok((mut child, pid)) => {
                    let (ended, exit) = watch::channel(None);
                    let mut table = self.table();
                    let Some(entry) = table.get_mut(name).filter(|entry| follows(entry)) else {
                        drop(child.start_kill());
                        return None;
                    };
                    (entry.pid, entry.exit) = (pid, exit);
                    entry.restarts += 1;
                    tracing::info!(name, pid, "started again");
                    return Some((child, pid, ended));
                }
                Err(error) => {
                    tracing::error!(
                        name,
                        error = format!("{error:#}"),
                        "cannot be started again"
                    );
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }
}
