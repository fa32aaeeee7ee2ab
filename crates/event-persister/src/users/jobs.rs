//! Jobs of shards: a changed profile goes into all rooms of its user, and a deactivated user leaves
//! them, room by room; who has come into a room that replaces another brings along what they have
//! said of that one.
//!
//! A job is a row that its shard's owner takes up; `done` says how far it has come. Every step is a
//! command with an id of its own, so that a step repeated after a crash or by the next owner does
//! nothing twice. A step writes the profile as it is at that moment, so a later change of the profile
//! makes earlier jobs of the user needless, as does leaving.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ganglion_cluster::{Commands, Done};
use ganglion_model::{CommandId, MatrixError, Membership, RoomNid, Shard, UserNid};
use ganglion_proto::persister::room_command::Command;
use ganglion_proto::persister::set_membership::Action;
use ganglion_proto::persister::{FollowUpgrade, SetMembership, UpdateProfile, user_command};
use ganglion_storage::accounts::{self, JobRecord};
use ganglion_storage::memberships::{self, MembershipRecord};
use ganglion_storage::{Database, StorageError, directory, intern, rooms};
use ganglion_telemetry::metrics::Counter;
use ruma::{RoomId, UserId};
use serde::{Deserialize, Serialize};
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
/// `jobs.kind`: carry what the user has said of a room to its replacement ([`Upgrade`]). A job of the
/// shard of the replacement, whose owner makes it with the join.
pub(crate) const FOLLOW_UPGRADE: i16 = 40;
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

/// What a job of the kind [`FOLLOW_UPGRADE`] is about.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Upgrade {
    pub(crate) old_room: String,
    pub(crate) new_room: String,
    /// The user has made the replacement, perhaps before the old room says so.
    #[serde(default)]
    pub(crate) by_creator: bool,
}

/// Takes up the jobs of the shards that this process owns.
pub(crate) struct Jobs {
    worker: Worker,
    owned: [watch::Receiver<Vec<Shard>>; 2],
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
    /// `owned` says which shards this process owns, of both families; `wake` is the one of the shards' writers.
    pub(crate) fn new(
        db: Database,
        commands: Commands,
        owned: [watch::Receiver<Vec<Shard>>; 2],
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
                changed = changed(&mut self.owned) => {
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
        let owned: Vec<Shard> = self
            .owned
            .iter_mut()
            .flat_map(|owned| owned.borrow_and_update().clone())
            .collect();
        if owned.is_empty() || self.running.len() >= AT_ONCE {
            return Ok(());
        }
        let primary = self.worker.db.primary().await?;
        for job in newest(accounts::jobs(&primary, &owned, LISTED).await?) {
            if self.running.len() >= AT_ONCE {
                break;
            }
            // A job in work for this user sees at its next note that it is superseded.
            let needless = supersedes(job.kind);
            if !needless.is_empty() {
                accounts::end_superseded_jobs(&primary, &job, needless).await?;
            }
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
        for taken in self.taken.values() {
            let mut owned = self.owned.iter();
            if !owned.any(|owned| owned.borrow().contains(&taken.shard)) {
                taken.task.abort();
            }
        }
    }
}

/// Until one of the sets of owned shards changes.
async fn changed(
    [rooms, users]: &mut [watch::Receiver<Vec<Shard>>; 2],
) -> Result<(), watch::error::RecvError> {
    tokio::select! {
        changed = rooms.changed() => changed,
        changed = users.changed() => changed,
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
fn memberships_of(kind: i16) -> &'static [Membership] {
    match kind {
        LEAVE_ROOMS => &[Membership::Join, Membership::Invite, Membership::Knock],
        _ => &[Membership::Join],
    }
}

/// The last job of each user of those that make each other needless, and all others, in order of their
/// age; `jobs` is in that order.
fn newest(jobs: Vec<JobRecord>) -> Vec<JobRecord> {
    let goes_through_rooms = |job: &JobRecord| !supersedes(job.kind).is_empty();
    let jobs: Vec<JobRecord> = jobs
        .into_iter()
        .filter(|job| goes_through_rooms(job) || job.kind == FOLLOW_UPGRADE)
        .collect();
    let last: HashMap<UserNid, usize> = jobs
        .iter()
        .enumerate()
        .filter(|(_, job)| goes_through_rooms(job))
        .map(|(index, job)| (job.user_nid, index))
        .collect();
    let mut newest = Vec::with_capacity(last.len());
    for (index, job) in jobs.into_iter().enumerate() {
        if job.kind == FOLLOW_UPGRADE || last.get(&job.user_nid) == Some(&index) {
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
        if job.kind == FOLLOW_UPGRADE {
            self.follow_upgrade(job).await?;
        } else if !self.go_through_rooms(job).await? {
            return Ok(());
        }
        Ok(accounts::end_job(&self.db.primary().await?, job.shard, &job.job_id).await?)
    }

    /// One command to the owner of the user, if the user was in the old room.
    async fn follow_upgrade(&self, job: &JobRecord) -> Result<(), Failure> {
        let upgrade: Upgrade = serde_json::from_slice(&job.body)
            .map_err(|error| StorageError::inconsistent(format!("jobs.body: {error}")))?;
        if !self.is_followed(job.user_nid, &upgrade).await? {
            return Ok(());
        }
        let user = UserId::parse(&job.user_id).map_err(|_invalid| {
            StorageError::inconsistent(format!("users.user_id {}", job.user_id))
        })?;
        let id = CommandId::of(&["follow-upgrade", &hex(&job.job_id)]);
        let command = user_command::Command::FollowUpgrade(FollowUpgrade {
            old_room: upgrade.old_room,
            new_room: upgrade.new_room,
        });
        taken(job, self.commands.user(&user, id, command).await)
    }

    /// Whether the user was in the old room, and that room says as well that the new one replaces it:
    /// else anybody could pass a room off as another's replacement.
    async fn is_followed(&self, user: UserNid, upgrade: &Upgrade) -> Result<bool, StorageError> {
        #[derive(Deserialize)]
        struct Tombstone {
            replacement_room: String,
        }
        let primary = self.db.primary().await?;
        let Some(room) = intern::find_room(&primary, &upgrade.old_room).await? else {
            return Ok(false);
        };
        let changes = memberships::in_room(&primary, room.shard, user, room.room_nid).await?;
        let joins = |change: &MembershipRecord| change.membership == Membership::Join;
        if !changes.iter().any(joins) || upgrade.by_creator {
            return Ok(changes.iter().any(joins));
        }
        let key = ("m.room.tombstone".to_owned(), String::new());
        let Some(slot) = intern::find_slots(&primary, &[key]).await?.pop() else {
            return Ok(false);
        };
        let place = [(room.shard, room.room_nid)];
        let found = directory::contents(&primary, &place, &[slot.1]).await?;
        let tombstone = found.first().map(|(.., content)| content);
        Ok(tombstone
            .and_then(|content| serde_json::from_slice::<Tombstone>(content).ok())
            .is_some_and(|said| said.replacement_room == upgrade.new_room))
    }

    /// False if the job is gone.
    async fn go_through_rooms(&self, job: &JobRecord) -> Result<bool, Failure> {
        let mut done = job.done;
        let wanted = memberships_of(job.kind);
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
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Does the work in one room. A room that refuses it is left as it is.
    async fn step(&self, job: &JobRecord, room: &str) -> Result<(), Failure> {
        let room_id = RoomId::parse(room)
            .map_err(|_invalid| StorageError::inconsistent(format!("rooms.room_id {room}")))?;
        let (purpose, command) = match job.kind {
            LEAVE_ROOMS => ("leave-rooms", leave(job)),
            _ => ("update-profile", self.update_profile(job).await?),
        };
        let id = CommandId::of(&[purpose, &hex(&job.job_id), room]);
        taken(job, self.commands.room(&room_id, id, command).await)
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

/// A step that is refused is done: to repeat it would change nothing.
fn taken(job: &JobRecord, outcome: Result<Done, MatrixError>) -> Result<(), Failure> {
    match outcome {
        Ok(_) => STEPS.with(&[("outcome", "done")]).increment(1),
        Err(error) if error.status == 429 || error.status >= 500 => return Err(error.into()),
        Err(error) => {
            STEPS.with(&[("outcome", "refused")]).increment(1);
            tracing::debug!(error = %error, job.kind, user.id = job.user_id, "a job was not taken");
        }
    }
    Ok(())
}

fn hex(id: &[u8; 16]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
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
