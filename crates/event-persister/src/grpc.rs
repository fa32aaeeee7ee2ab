//! The gRPC services: who may call, whose shard it is, how long the caller waits.

use std::sync::Arc;

use ganglion_cluster::owner::{Owners, Pending, ShardWriter, SubmitError};
use ganglion_model::{CommandId, MatrixError, Shard};
use ganglion_proto::persister::room_writer_server::RoomWriter;
use ganglion_proto::persister::user_writer_server::UserWriter;
use ganglion_proto::persister::{
    self as wire, BuildCreateReply, BuildCreateRequest, CommandReply, RoomCommand, UserCommand,
    build_create_reply,
};
use ganglion_rpc::{allow, busy, deadline_of, enter_remote_span, unavailable, wrong_owner};
use ruma::{RoomId, UserId};
use tokio::time::Instant;
use tonic::{Request, Response, Status};
use tracing::Instrument as _;

use crate::build_create::build_create;
use crate::rooms::RoomShard;
use crate::shared::Shared;
use crate::users::UserShard;

/// The roles whose work comes down to commands on rooms and users.
const CALLERS: [&str; 2] = ["client-reader", "event-persister"];

/// Commands on rooms.
pub(crate) struct Rooms {
    pub(crate) shared: Arc<Shared>,
    pub(crate) owners: Owners<RoomShard>,
}

/// Commands on users.
pub(crate) struct Users {
    pub(crate) owners: Owners<UserShard>,
}

#[tonic::async_trait]
impl RoomWriter for Rooms {
    async fn build_create(
        &self,
        request: Request<BuildCreateRequest>,
    ) -> Result<Response<BuildCreateReply>, Status> {
        allow(&request, &CALLERS)?;
        let shared = self.shared.clone();
        let built = tokio::task::spawn_blocking(move || build_create(&shared, request.get_ref()))
            .await
            .map_err(|_panicked| Status::internal("the create event could not be built"))?;
        let result = match built {
            Ok(built) => build_create_reply::Result::Built(built),
            Err(error) => build_create_reply::Result::Error(wire_error(error)),
        };
        Ok(Response::new(BuildCreateReply {
            result: Some(result),
        }))
    }

    async fn execute(
        &self,
        request: Request<RoomCommand>,
    ) -> Result<Response<CommandReply>, Status> {
        allow(&request, &CALLERS)?;
        let span = enter_remote_span(&request, "RoomWriter/Execute");
        let room_id = RoomId::parse(&request.get_ref().room_id)
            .map_err(|_invalid| Status::invalid_argument("room_id"))?;
        let id = command_id(&request.get_ref().command_id)?;
        submit(&self.owners, Shard::of_room(&room_id), id, request)
            .instrument(span)
            .await
    }
}

#[tonic::async_trait]
impl UserWriter for Users {
    async fn execute(
        &self,
        request: Request<UserCommand>,
    ) -> Result<Response<CommandReply>, Status> {
        allow(&request, &CALLERS)?;
        let span = enter_remote_span(&request, "UserWriter/Execute");
        let user_id = UserId::parse(&request.get_ref().user_id)
            .map_err(|_invalid| Status::invalid_argument("user_id"))?;
        let id = command_id(&request.get_ref().command_id)?;
        submit(&self.owners, Shard::of_user(&user_id), id, request)
            .instrument(span)
            .await
    }
}

async fn submit<W: ShardWriter>(
    owners: &Owners<W>,
    shard: Shard,
    id: CommandId,
    request: Request<W::Command>,
) -> Result<Response<CommandReply>, Status> {
    let deadline = Instant::now() + deadline_of(&request);
    let pending = Pending {
        id,
        command: request.into_inner(),
        deadline,
    };
    match owners.submit(shard, pending).await {
        Ok(reply) => Ok(Response::new(reply)),
        Err(SubmitError::WrongOwner { epoch }) => Err(wrong_owner(epoch)),
        Err(SubmitError::Busy) => Err(busy()),
        Err(SubmitError::Unavailable) => Err(unavailable("the outcome is unknown")),
    }
}

fn command_id(bytes: &[u8]) -> Result<CommandId, Status> {
    CommandId::from_bytes(bytes).ok_or_else(|| Status::invalid_argument("command_id: not 16 bytes"))
}

fn wire_error(error: MatrixError) -> wire::MatrixError {
    wire::MatrixError {
        status: u32::from(error.status),
        errcode: error.errcode,
        message: error.message,
        retry_after_ms: error.retry_after_ms,
        extra: error.extra,
    }
}
