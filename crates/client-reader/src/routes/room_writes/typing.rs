//! `PUT /_matrix/client/v3/rooms/{roomId}/typing/{userId}`

use std::time::Duration;

use axum::extract::State;
use ganglion_accounts::storage_error;
use ganglion_http_kit::{ApiError, Ruma, RumaBody};
use ganglion_model::{MatrixError, Membership};
use ganglion_storage::memberships;
use ruma::api::client::typing::create_typing_event::v3::{Request, Response, Typing};

use crate::caller::Caller;
use crate::state::AppState;

/// Tells the room's members that the caller types, for a while, or no more. Only for who is joined.
///
/// A notice is soft state: it is answered 200 even if it is lost because Redis is away.
pub(crate) async fn put(
    State(app): State<AppState>,
    caller: Caller,
    Ruma(request): Ruma<Request>,
) -> Result<RumaBody<Response>, ApiError> {
    caller.must_be(&request.user_id)?;
    let not_joined = || MatrixError::forbidden("you are not joined to this room");
    let mut view = caller.view(&app);
    let room = app.rooms.find(&mut view, request.room_id.as_str()).await;
    let room = room.map_err(storage_error)?.ok_or_else(not_joined)?;
    let snapshot = view.snapshot().await.map_err(storage_error)?;
    let last = memberships::last(snapshot, room.shard, caller.user_nid, room.nid)
        .await
        .map_err(storage_error)?;
    if last.is_none_or(|membership| membership.last.membership != Membership::Join) {
        return Err(not_joined().into());
    }
    let timeout = match request.state {
        Typing::No => Duration::ZERO,
        Typing::Yes(info) => info.timeout,
    };
    app.presence.active(caller.who());
    app.typing.set(room.nid, &caller.user_id, timeout);
    Ok(RumaBody(Response::new()))
}
