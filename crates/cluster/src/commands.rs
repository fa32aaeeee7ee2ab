//! The callers' side of commands: finds the owner of a shard and repeats until the deadline, which is
//! safe because a command's id is executed once.

use std::time::Duration;

use ganglion_model::{CommandId, MatrixError, Position, Shard};
use ganglion_proto::persister::room_writer_client::RoomWriterClient;
use ganglion_proto::persister::user_writer_client::UserWriterClient;
use ganglion_proto::persister::{
    self, BuildCreateRequest, BuiltCreate, CommandReply, RoomCommand, UserCommand,
    build_create_reply, command_reply, room_command, user_command,
};
use ganglion_rpc::{Channel, RpcClients, RpcFailure, classify, with_deadline};
use ganglion_telemetry::metrics::Counter;
use prost::Message as _;
use ruma::{OwnedEventId, RoomId, UserId};
use tokio::time::Instant;

use crate::backoff::Backoff;
use crate::membership::{Cluster, Owner, ShardMap};

static RETRIES: Counter = Counter::new(
    "ganglion_commands_retries_total",
    "Commands sent again, by why: no_owner, wrong_owner, unavailable, moved.",
);

/// The role that owns shards.
const PERSISTER: &str = "event-persister";
/// A call that takes longer may wait for an owner that stands still.
const SLOW_CALL: Duration = Duration::from_millis(250);
/// What a caller that found a full queue is told to wait.
const BUSY_MS: u64 = 500;

/// Sends commands to whoever owns the shard; a clone is a handle on the same.
#[derive(Clone)]
pub struct Commands {
    cluster: Cluster,
    rpc: RpcClients,
    deadline: Duration,
}

/// What a command did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// The shard of the room or the user.
    pub shard: Shard,
    /// The position after which a reader of that shard sees all of it.
    pub position: Position,
    /// The event made or found.
    pub event_id: Option<OwnedEventId>,
    /// What the command returns beyond that.
    pub value: String,
}

impl Done {
    /// The answer of a command that is done, as `commands` keeps it.
    ///
    /// # Errors
    /// `M_UNKNOWN` if it is none.
    pub fn stored(reply: &[u8]) -> Result<Self, MatrixError> {
        let done = persister::Done::decode(reply).map_err(|_broken| MatrixError::internal())?;
        Self::of(done)
    }

    fn of(done: persister::Done) -> Result<Self, MatrixError> {
        Ok(Self {
            shard: Shard::new(i64::from(done.shard)).ok_or_else(MatrixError::internal)?,
            position: done.position,
            event_id: OwnedEventId::try_from(done.event_id).ok(),
            value: done.value,
        })
    }
}

/// A failed call, and what to do about it.
enum Failure {
    /// Try again: why, for the metric.
    Again(&'static str),
    /// Answer this.
    Final(MatrixError),
}

impl Commands {
    /// `deadline` bounds a command with all its repetitions (`rpc.deadline_ms`).
    #[must_use]
    pub fn new(cluster: Cluster, rpc: RpcClients, deadline: Duration) -> Self {
        Self {
            cluster,
            rpc,
            deadline,
        }
    }

    /// Executes a command on a room.
    ///
    /// # Errors
    /// What the owner answers; `M_LIMIT_EXCEEDED` if its queue is full; 503 if no owner answered
    /// within the deadline, when nobody knows whether it is executed: repeat it with the same id.
    pub async fn room(
        &self,
        room_id: &RoomId,
        id: CommandId,
        command: room_command::Command,
    ) -> Result<Done, MatrixError> {
        let command = RoomCommand {
            room_id: room_id.to_string(),
            command_id: id.as_bytes().to_vec().into(),
            command: Some(command),
        };
        let call = |channel: Channel, left: Duration| {
            let request = with_deadline(command.clone(), left);
            async move {
                let reply = RoomWriterClient::new(channel).execute(request).await;
                reply
                    .map(|reply| reply.into_inner())
                    .map_err(|status| classify(&status))
            }
        };
        done(self.to_owner(Shard::of_room(room_id), call).await?)
    }

    /// Executes a command on a user.
    ///
    /// # Errors
    /// As [`Commands::room`].
    pub async fn user(
        &self,
        user_id: &UserId,
        id: CommandId,
        command: user_command::Command,
    ) -> Result<Done, MatrixError> {
        let command = UserCommand {
            user_id: user_id.to_string(),
            command_id: id.as_bytes().to_vec().into(),
            command: Some(command),
        };
        let call = |channel: Channel, left: Duration| {
            let request = with_deadline(command.clone(), left);
            async move {
                let reply = UserWriterClient::new(channel).execute(request).await;
                reply
                    .map(|reply| reply.into_inner())
                    .map_err(|status| classify(&status))
            }
        };
        done(self.to_owner(Shard::of_user(user_id), call).await?)
    }

    /// Has a create event built and signed, by any live persister.
    ///
    /// # Errors
    /// What the persister answers; 503 if none answered within the deadline.
    pub async fn build_create(
        &self,
        request: BuildCreateRequest,
    ) -> Result<BuiltCreate, MatrixError> {
        let deadline = Instant::now() + self.deadline;
        let mut backoff = backoff();
        for attempt in 0.. {
            let addresses = self.cluster.shard_map().addresses(PERSISTER);
            let address = addresses.get(attempt % addresses.len().max(1));
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let failure = match address {
                Some(address) => match self.call_build(address, request.clone(), left).await {
                    Ok(reply) => return reply,
                    Err(failure) => sort(failure),
                },
                None => Failure::Again("no_owner"),
            };
            self.pause(failure, &mut backoff, deadline).await?;
        }
        Err(too_late())
    }

    async fn call_build(
        &self,
        address: &str,
        request: BuildCreateRequest,
        left: Duration,
    ) -> Result<Result<BuiltCreate, MatrixError>, RpcFailure> {
        let channel = self.channel(address)?;
        let reply = RoomWriterClient::new(channel)
            .build_create(with_deadline(request, left))
            .await;
        let reply = reply.map_err(|status| classify(&status))?.into_inner();
        Ok(match reply.result {
            Some(build_create_reply::Result::Built(built)) => Ok(built),
            Some(build_create_reply::Result::Error(error)) => Err(matrix_error(error)),
            None => Err(MatrixError::internal()),
        })
    }

    /// Calls the owner of a shard until one answers, following the lease as it moves.
    async fn to_owner<F>(
        &self,
        shard: Shard,
        call: impl Fn(Channel, Duration) -> F,
    ) -> Result<CommandReply, MatrixError>
    where
        F: Future<Output = Result<CommandReply, RpcFailure>>,
    {
        let deadline = Instant::now() + self.deadline;
        let mut backoff = backoff();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(too_late());
            }
            let owner = self.cluster.shard_map().owner(shard);
            let address = owner
                .as_ref()
                .and_then(|owner| owner.rpc_address.as_deref());
            let failure = match (&owner, address) {
                (Some(owner), Some(address)) => match self.channel(address) {
                    Ok(channel) => tokio::select! {
                        reply = tokio::time::timeout(left, call(channel, left)) => match reply {
                            Ok(Ok(reply)) => return Ok(reply),
                            Ok(Err(failure)) => sort(failure),
                            Err(_elapsed) => return Err(too_late()),
                        },
                        // A stopped owner does not answer; its successor does.
                        () = self.moved(shard, owner) => Failure::Again("moved"),
                    },
                    Err(failure) => sort(failure),
                },
                _ => Failure::Again("no_owner"),
            };
            self.pause(failure, &mut backoff, deadline).await?;
        }
    }

    /// Returns when another instance owns the shard. While the call takes long, PostgreSQL is asked
    /// more often than by the heartbeat.
    async fn moved(&self, shard: Shard, from: &Owner) {
        let mut changes = self.cluster.changes();
        let elsewhere = |map: &ShardMap| {
            map.owner(shard)
                .is_some_and(|owner| owner.instance != from.instance)
        };
        loop {
            let waited = tokio::time::timeout(SLOW_CALL, changes.wait_for(elsewhere)).await;
            match waited.map(|moved| moved.is_ok()) {
                Ok(true) => return,
                // Nobody watches the cluster any more: the process is ending.
                Ok(false) => return std::future::pending().await,
                Err(_elapsed) => {
                    self.cluster.refresh().await;
                }
            }
        }
    }

    fn channel(&self, address: &str) -> Result<Channel, RpcFailure> {
        self.rpc
            .channel(PERSISTER, address)
            .map_err(|status| classify(&status))
    }

    /// Waits a moment and looks at the cluster anew, if the failure allows another try.
    async fn pause(
        &self,
        failure: Failure,
        backoff: &mut Backoff,
        deadline: Instant,
    ) -> Result<(), MatrixError> {
        let why = match failure {
            Failure::Again(why) => why,
            Failure::Final(error) => return Err(error),
        };
        RETRIES.with(&[("why", why)]).increment(1);
        let next = (Instant::now() + backoff.delay()).min(deadline);
        tokio::time::sleep_until(next).await;
        if tokio::time::timeout_at(deadline, self.cluster.refresh())
            .await
            .is_err()
        {
            return Err(too_late());
        }
        Ok(())
    }
}

fn backoff() -> Backoff {
    Backoff::new(Duration::from_millis(20), Duration::from_millis(250))
}

fn too_late() -> MatrixError {
    MatrixError::unavailable("no answer in time; the same request may be sent again")
}

fn sort(failure: RpcFailure) -> Failure {
    match failure {
        RpcFailure::WrongOwner { .. } => Failure::Again("wrong_owner"),
        RpcFailure::Unavailable(why) => {
            tracing::debug!(why, "a persister did not answer");
            Failure::Again("unavailable")
        }
        RpcFailure::Busy => Failure::Final(MatrixError::limit_exceeded(BUSY_MS)),
        RpcFailure::Deadline => Failure::Final(too_late()),
        RpcFailure::Denied(why) | RpcFailure::Other(why) => {
            tracing::error!(why, "a command failed");
            Failure::Final(MatrixError::internal())
        }
    }
}

fn done(reply: CommandReply) -> Result<Done, MatrixError> {
    match reply.result {
        Some(command_reply::Result::Done(done)) => Done::of(done),
        Some(command_reply::Result::Error(error)) => Err(matrix_error(error)),
        None => Err(MatrixError::internal()),
    }
}

fn matrix_error(error: persister::MatrixError) -> MatrixError {
    MatrixError {
        status: u16::try_from(error.status).unwrap_or(500),
        errcode: error.errcode,
        message: error.message,
        retry_after_ms: error.retry_after_ms,
        extra: error.extra,
    }
}
