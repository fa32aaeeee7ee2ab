//! `POST /_matrix/client/v3/rooms/{roomId}/forget`

use axum::extract::State;
use ganglion_accounts::storage_error;
use ganglion_http_kit::{ApiError, Ruma, RumaBody};
use ganglion_model::{CommandId, MatrixError, Membership};
use ganglion_proto::persister::ForgetRoom;
use ganglion_proto::persister::user_command::Command;
use ganglion_storage::memberships::{self, LastMembership};
use ruma::RoomId;
use ruma::api::client::membership::forget_room::v3::{Request, Response};

use crate::caller::Caller;
use crate::state::AppState;

/// Makes the caller's past in a room be no more, as far as the caller is concerned. What comes after
/// the leaving seen here, such as a new invitation, is not forgotten.
pub(crate) async fn post(
    State(app): State<AppState>,
    caller: Caller,
    Ruma(request): Ruma<Request>,
) -> Result<RumaBody<Response>, ApiError> {
    let not_left = || MatrixError::new(400, "M_UNKNOWN", "you have not left this room");
    let LastMembership { last, forgotten } = last(&app, &caller, &request.room_id)
        .await?
        .ok_or_else(not_left)?;
    if !matches!(last.membership, Membership::Leave | Membership::Ban) {
        return Err(not_left().into());
    }
    if forgotten {
        return Ok(RumaBody(Response::new()));
    }
    let place = last.pos.to_string();
    let parts = [
        caller.user_id.as_str(),
        "forget",
        request.room_id.as_str(),
        &place,
    ];
    let command = Command::ForgetRoom(ForgetRoom {
        room_id: request.room_id.to_string(),
        up_to: last.pos,
    });
    app.commands
        .user(&caller.user_id, CommandId::of(&parts), command)
        .await?;
    Ok(RumaBody(Response::new()))
}

async fn last(
    app: &AppState,
    caller: &Caller,
    room_id: &RoomId,
) -> Result<Option<LastMembership>, MatrixError> {
    let mut view = caller.view(app);
    let room = app.rooms.find(&mut view, room_id.as_str()).await;
    let Some(room) = room.map_err(storage_error)? else {
        return Ok(None);
    };
    let snapshot = view.snapshot().await.map_err(storage_error)?;
    memberships::last(snapshot, room.shard, caller.user_nid, room.nid)
        .await
        .map_err(storage_error)
}
