//! The writer of a room shard: executes commands on its rooms in order, in memory, and says which
//! rows that makes. `cluster::owner` commits them in batches.
//!
//! What a command needs is loaded by key from the primary and kept; no list of members is ever
//! loaded. Every command works on a [`part::Part`] of its own, merged into the batch if it succeeds.

mod alias;
mod counts;
mod create;
mod entrants;
mod follow_upgrade;
mod fork;
mod load;
mod local;
mod membership;
mod part;
mod pdus;
mod place;
mod receipts;
mod redact;
mod relations;
mod room;
mod upgrade;

use std::collections::HashMap;
use std::sync::Arc;

use ganglion_cluster::owner::{BatchStart, Outcome, OutcomeDone, Pending, Prepared, ShardWriter};
use ganglion_event_rules::{FormatError, build, stored};
use ganglion_model::{MatrixError, Shard};
use ganglion_proto::persister::RoomCommand;
use ganglion_proto::persister::room_command::Command;
use ganglion_storage::StorageError;
use ganglion_storage::batch::UserRows;
use ruma::{OwnedRoomId, RoomId};
use tokio::sync::Notify;

use self::part::{Part, Step, Stop, Unsigned};
use self::room::Room;
use crate::shared::Shared;

/// The writer of one room shard.
pub(crate) struct RoomShard {
    shared: Arc<Shared>,
    shard: Shard,
    rooms: HashMap<OwnedRoomId, Room>,
    /// The batch has events made elsewhere: those of the batch are remembered, for forks from them.
    keeps_recent: bool,
    /// Told when a batch with new jobs is committed.
    jobs: Arc<Notify>,
    has_jobs: bool,
    /// Those whom the batch lets in, and whether their account is deactivated.
    entrants: HashMap<String, bool>,
    /// Counts batches, to find the rooms that were not used for longest.
    batch: u64,
}

/// What a command came to.
enum Done {
    /// It wrote something.
    Written(OutcomeDone),
    /// It found that all is as it should be.
    Unchanged(OutcomeDone),
}

impl RoomShard {
    /// `jobs` wakes [`crate::users::jobs::Jobs::run`].
    pub(crate) fn new(shared: Arc<Shared>, shard: Shard, jobs: Arc<Notify>) -> Self {
        Self {
            shared,
            shard,
            rooms: HashMap::new(),
            keeps_recent: false,
            jobs,
            has_jobs: false,
            entrants: HashMap::new(),
            batch: 0,
        }
    }

    async fn execute(&mut self, command: &RoomCommand, part: &mut Part) -> Step<Done> {
        let room_id = RoomId::parse(&command.room_id)
            .map_err(|_invalid| MatrixError::invalid_param("not a room id"))?;
        let command = command.command.as_ref().ok_or_else(|| {
            MatrixError::new(400, "M_UNRECOGNIZED", "a command of a later version")
        })?;
        if let Command::CreateRoom(create) = command {
            let room = self.create_room(&room_id, create, part).await?;
            let done = done(&room, part);
            self.rooms.insert(room_id, room);
            return Ok(done);
        }
        let mut room = self.take_room(&room_id, command).await?;
        let outcome = self.execute_in(&mut room, command, part).await;
        room.used = self.batch;
        self.rooms.insert(room_id, room);
        outcome
    }

    /// Executes a command on a room that exists. A room is left as it was when a command is refused:
    /// commands check everything before they change it, or work on a copy.
    async fn execute_in(&self, room: &mut Room, command: &Command, part: &mut Part) -> Step<Done> {
        match command {
            Command::CreateRoom(_) => Err(MatrixError::internal().into()),
            Command::SendEvent(send) => self.send_event(room, send, part).await,
            Command::SetMembership(set) => self.set_membership(room, set, part).await,
            Command::Redact(redact) => self.redact(room, redact, part).await,
            Command::SubmitPdus(submit) => self.submit_pdus(room, submit, part).await,
            Command::UpdateProfile(update) => self.update_profile(room, update, part).await,
            Command::SetAlias(set) => self.set_alias(room, set, part).await,
            Command::DeleteAlias(delete) => self.delete_alias(room, delete, part).await,
            Command::SetPublished(set) => self.set_published(room, set, part).await,
            Command::PrepareUpgrade(prepare) => self.prepare_upgrade(room, prepare, part).await,
            Command::FinishUpgrade(finish) => self.finish_upgrade(room, finish, part).await,
            Command::SetReceipts(set) => self.set_receipts(room, set, part).await,
        }
    }

    /// Drops the rooms that were not used for longest while all together weigh too much.
    fn evict(&mut self) {
        let mut weight: usize = self.rooms.values().map(Room::weight).sum();
        let limit = self.shared.limits.room_cache_bytes;
        while weight > limit {
            let oldest = self.rooms.iter().min_by_key(|(_, room)| room.used);
            let Some(id) = oldest.map(|(id, _)| id.clone()) else {
                return;
            };
            if let Some(room) = self.rooms.remove(&id) {
                weight -= room.weight();
            }
        }
    }

    /// Signs what is unsigned, off the async threads, and fills in the rows' envelopes.
    async fn sign(&self, part: &mut Part) -> Result<(), StorageError> {
        let unsigned = std::mem::take(&mut part.unsigned);
        if unsigned.is_empty() {
            return Ok(());
        }
        let shared = self.shared.clone();
        let signed = tokio::task::spawn_blocking(move || {
            unsigned
                .into_iter()
                .map(|event| sign(event, &shared))
                .collect::<Result<Vec<_>, _>>()
        });
        let signed = signed
            .await
            .map_err(|error| StorageError::inconsistent(format!("signing: {error}")))?
            .map_err(|error| StorageError::inconsistent(format!("signing: {error}")))?;
        for (row, envelope) in signed {
            if let Some(row) = part.rows.events.get_mut(row) {
                row.envelope = envelope;
            }
        }
        Ok(())
    }
}

impl ShardWriter for RoomShard {
    type Command = RoomCommand;

    async fn prepare(
        &mut self,
        commands: &[&Pending<RoomCommand>],
        start: BatchStart,
    ) -> Result<Prepared, StorageError> {
        self.batch += 1;
        self.evict();
        self.preload(commands).await?;
        self.preload_receipts(commands).await?;
        self.load_entrants(commands).await?;
        let forks = |pending: &&Pending<RoomCommand>| {
            matches!(pending.command.command, Some(Command::SubmitPdus(_)))
        };
        self.keeps_recent = commands.iter().any(forks);
        let mut batch = Part::new(start.next, start.now_ms);
        let mut outcomes = Vec::with_capacity(commands.len());
        for pending in commands {
            let mut part = Part::new(batch.next, start.now_ms);
            match self.execute(&pending.command, &mut part).await {
                Ok(Done::Written(done)) => {
                    batch.merge(part);
                    outcomes.push(Outcome::Done(done));
                }
                Ok(Done::Unchanged(done)) => outcomes.push(Outcome::Unchanged(done)),
                Err(Stop::Refused(error)) => outcomes.push(Outcome::Refused(error)),
                Err(Stop::Storage(error)) => return Err(error),
            }
        }
        self.sign(&mut batch).await?;
        let last = batch.next - 1;
        let jobs = std::mem::take(&mut batch.jobs);
        self.has_jobs = !jobs.is_empty();
        let (rooms, entries) = batch.into_rows();
        Ok(Prepared {
            rooms,
            users: UserRows {
                jobs,
                ..UserRows::default()
            },
            last,
            entries,
            outcomes,
        })
    }

    fn committed(&mut self) {
        if std::mem::take(&mut self.has_jobs) {
            self.jobs.notify_one();
        }
        for room in self.rooms.values_mut() {
            room.recent.clear();
            room.running.committed();
            room.related.committed();
        }
    }

    fn reset(&mut self) {
        self.has_jobs = false;
        self.rooms.clear();
    }
}

/// Signs an event; returns its row and its envelope.
fn sign(event: Unsigned, shared: &Shared) -> Result<(usize, Vec<u8>), FormatError> {
    let Unsigned {
        row,
        pdu,
        mut object,
        version,
    } = event;
    build::sign(
        &mut object,
        &shared.server_name,
        &shared.signing_key,
        version,
    )?;
    Ok((row, stored::split(&object, &pdu, version)?.envelope))
}

/// The outcome of a command whose last event is the room's only extremity.
fn done(room: &Room, part: &Part) -> Done {
    let event_id = room
        .extremities
        .first()
        .map(|e| e.event_id.to_string())
        .unwrap_or_default();
    Done::Written(OutcomeDone {
        event_id,
        value: String::new(),
        position: part.next - 1,
    })
}
