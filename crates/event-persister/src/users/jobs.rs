//! Jobs of user shards: a changed profile goes into all rooms of its user, and a deactivated user
//! leaves them, room by room.
//!
//! A job is a row that its shard's owner takes up; `done` says how far it has come. Every step is a
//! command with an id of its own, so that a step repeated after a crash or by the next owner does
//! nothing twice. A step writes the profile as it is at that moment, so a later change of the profile
//! makes earlier jobs of the user needless, as does leaving.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ganglion_cluster::Commands;
use ganglion_model::{CommandId, MatrixError, Membership, RoomNid, Shard, UserNid};
use ganglion_proto::persister::room_command::Command;
use ganglion_proto::persister::set_membership::Action;
use ganglion_proto::persister::{SetMembership, UpdateProfile};
use ganglion_storage::accounts::{self, JobRecord};
use ganglion_storage::{Database, StorageError, rooms};
use ganglion_telemetry::metrics::Counter;
use ruma::RoomId;
use tokio::sync::{Notify, watch};
use tokio::task::{AbortHandle, Id, JoinSet};
use tokio_util::sync::CancellationToken;

static STEPS: Counter = Counter::new(
    "ganglion_jobs_steps_total",
    "Steps of jobs by outcome: done, refused, failed.",
);

/// `jobs.kind`: write the user's profile into the member events of the user's rooms.
pub(super) const UPDATE_PROFILE: i16 = 1;
/// `jobs.kind`: leave all rooms.
pub(super) const LEAVE_ROOMS: i16 = 2;
/// Jobs in work at once in one process.
const AT_ONCE: usize = 4;
/// Jobs listed at once.
const LISTED: i64 = 1_000;
/// Rooms between two notes of how far a job has come.
const ROOMS_PER_NOTE: i64 = 20;
/// How long a job rests after a step that failed.
const REST: Duration = Duration::from_secs(5);
/// How often jobs are looked for without being told of one.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// Takes up the jobs of the user shards that this process owns.
pub(crate) struct Jobs {
    worker: Worker,
    owned: watch::Receiver<Vec<Shard>>,
    wake: Arc<Notify>,
    running: JoinSet<()>,
    taken: HashMap<Id, Taken>,
}

/// A job in work.
struct Taken {
    user: UserNid,
    shard: Shard,
    task: AbortHandle,
}

impl Jobs {
    /// `owned` says which shards this process owns; `wake` is the one of the shards' writers.
    pub(crate) fn new(
        db: Database,
        commands: Commands,
        owned: watch::Receiver<Vec<Shard>>,
        wake: Arc<Notify>,
    ) -> Self {
        let worker = Worker { db, commands };
        Self {
            worker,
            owned,
            wake,
            running: JoinSet::new(),
            taken: HashMap::new(),
        }
    }

    /// Works until `stop` is cancelled; a job that is cut off then goes on with the next owner.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        loop {
            if let Err(error) = self.take_up().await {
                tracing::warn!(error = %error, "jobs cannot be listed");
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.wake.notified() => {}
                changed = self.owned.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    self.let_go();
                }
                Some(ended) = self.running.join_next_with_id() => {
                    let id = ended.map_or_else(|error| error.id(), |(id, ())| id);
                    self.taken.remove(&id);
                }
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    /// Starts jobs that wait, one per user at a time.
    async fn take_up(&mut self) -> Result<(), StorageError> {
        let owned = self.owned.borrow_and_update().clone();
        if owned.is_empty() || self.running.len() >= AT_ONCE {
            return Ok(());
        }
        let primary = self.worker.db.primary().await?;
        for job in newest(accounts::jobs(&primary, &owned, LISTED).await?) {
            if self.running.len() >= AT_ONCE {
                break;
            }
            // A job in work for this user sees at its next note that it is superseded.
            accounts::end_superseded_jobs(&primary, &job, supersedes(job.kind)).await?;
            if self.taken.values().any(|taken| taken.user == job.user_nid) {
                continue;
            }
            let (user, shard) = (job.user_nid, job.shard);
            let task = self.running.spawn(self.worker.clone().run(job));
            self.taken.insert(task.id(), Taken { user, shard, task });
        }
        Ok(())
    }

    /// Stops the jobs of shards that are owned no more.
    fn let_go(&mut self) {
        let owned = self.owned.borrow();
        for taken in self
            .taken
            .values()
            .filter(|taken| !owned.contains(&taken.shard))
        {
            taken.task.abort();
        }
    }
}

/// The kinds of the user's earlier jobs that a job makes needless; none for a kind of a later version.
fn supersedes(kind: i16) -> &'static [i16] {
    match kind {
        UPDATE_PROFILE => &[UPDATE_PROFILE],
        LEAVE_ROOMS => &[UPDATE_PROFILE, LEAVE_ROOMS],
        _ => &[],
    }
}

/// The memberships of the rooms that a job goes through.
fn memberships(kind: i16) -> &'static [Membership] {
    match kind {
        LEAVE_ROOMS => &[Membership::Join, Membership::Invite, Membership::Knock],
        _ => &[Membership::Join],
    }
}

/// The last job of each user, in order of their age; `jobs` is in that order.
fn newest(jobs: Vec<JobRecord>) -> Vec<JobRecord> {
    let jobs: Vec<JobRecord> = jobs
        .into_iter()
        .filter(|job| !supersedes(job.kind).is_empty())
        .collect();
    let last: HashMap<UserNid, usize> = jobs
        .iter()
        .enumerate()
        .map(|(index, job)| (job.user_nid, index))
        .collect();
    let mut newest = Vec::with_capacity(last.len());
    for (index, job) in jobs.into_iter().enumerate() {
        if last.get(&job.user_nid) == Some(&index) {
            newest.push(job);
        }
    }
    newest
}

/// Why a job rests.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error(transparent)]
    Command(#[from] MatrixError),
}

#[derive(Clone)]
struct Worker {
    db: Database,
    commands: Commands,
}

impl Worker {
    async fn run(self, job: JobRecord) {
        if let Err(error) = self.work(&job).await {
            STEPS.with(&[("outcome", "failed")]).increment(1);
            tracing::warn!(error = %error, user.id = job.user_id, "a job rests");
            tokio::time::sleep(REST).await;
        }
    }

    async fn work(&self, job: &JobRecord) -> Result<(), Failure> {
        let mut done = job.done;
        let wanted = memberships(job.kind);
        loop {
            let primary = self.db.primary().await?;
            let next =
                rooms::rooms_of_user_after(&primary, job.user_nid, wanted, done, ROOMS_PER_NOTE)
                    .await?;
            drop(primary);
            let Some((last, _)) = next.last() else { break };
            let last: RoomNid = *last;
            for (_, room) in next {
                self.step(job, &room).await?;
            }
            done = last;
            let primary = self.db.primary().await?;
            if !accounts::advance_job(&primary, job.shard, &job.job_id, done).await? {
                return Ok(());
            }
        }
        Ok(accounts::end_job(&self.db.primary().await?, job.shard, &job.job_id).await?)
    }

    /// Does the work in one room. A room that refuses it is left as it is.
    async fn step(&self, job: &JobRecord, room: &str) -> Result<(), Failure> {
        let room_id = RoomId::parse(room)
            .map_err(|_invalid| StorageError::inconsistent(format!("rooms.room_id {room}")))?;
        let (purpose, command) = match job.kind {
            LEAVE_ROOMS => ("leave-rooms", leave(job)),
            _ => ("update-profile", self.update_profile(job).await?),
        };
        let job_id: String = job
            .job_id
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let id = CommandId::of(&[purpose, &job_id, room]);
        match self.commands.room(&room_id, id, command).await {
            Ok(_) => STEPS.with(&[("outcome", "done")]).increment(1),
            Err(error) if error.status == 429 || error.status >= 500 => return Err(error.into()),
            Err(error) => {
                STEPS.with(&[("outcome", "refused")]).increment(1);
                tracing::debug!(error = %error, room.id = room, job.kind, "a job was not taken");
            }
        }
        Ok(())
    }

    async fn update_profile(&self, job: &JobRecord) -> Result<Command, Failure> {
        let fields = accounts::profiles(&self.db.primary().await?, &[job.user_nid]).await?;
        let text = |name: &str| {
            let (_, _, value) = fields.iter().find(|(_, field, _)| field == name)?;
            serde_json::from_slice::<String>(value).ok()
        };
        Ok(Command::UpdateProfile(UpdateProfile {
            user_id: job.user_id.clone(),
            displayname: text("displayname"),
            avatar_url: text("avatar_url"),
        }))
    }
}

fn leave(job: &JobRecord) -> Command {
    Command::SetMembership(SetMembership {
        action: Action::Leave.into(),
        sender: job.user_id.clone(),
        target: job.user_id.clone(),
        content: Bytes::from_static(b"{}"),
        allowed_by_join_rule: false,
    })
}

#[cfg(test)]
mod tests;
