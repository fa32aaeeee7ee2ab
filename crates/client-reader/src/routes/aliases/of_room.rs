//! `GET /_matrix/client/v3/rooms/{roomId}/aliases`

use axum::extract::State;
use ganglion_accounts::storage_error;
use ganglion_http_kit::{ApiError, Ruma, RumaBody};
use ganglion_model::{HistoryVisibility, MatrixError, Position};
use ganglion_storage::directory;
use ruma::RoomAliasId;
use ruma::api::client::room::aliases::v3::{Request, Response};

use crate::caller::Caller;
use crate::state::AppState;

/// The aliases of this server that lead to a room: for who is in it, and for all if all may read it.
pub(crate) async fn get(
    State(app): State<AppState>,
    caller: Caller,
    Ruma(request): Ruma<Request>,
) -> Result<RumaBody<Response>, ApiError> {
    let outside = || MatrixError::forbidden("you are not in this room");
    let mut view = caller.view(&app);
    let entered = app
        .rooms
        .enter(&mut view, request.room_id.as_str(), caller.viewer(&app))
        .await
        .map_err(storage_error)?
        .ok_or_else(outside)?;
    if !entered.is_joined() {
        let room = &entered.room;
        let now = app.rooms.state_at(&mut view, room, Position::MAX).await;
        let now = now.map_err(storage_error)?;
        let visibility = app.rooms.history_visibility(&mut view, room, &now).await;
        if visibility.map_err(storage_error)? != HistoryVisibility::WorldReadable {
            return Err(outside().into());
        }
    }
    let snapshot = view.snapshot().await.map_err(storage_error)?;
    let aliases = directory::aliases(snapshot, entered.room.nid)
        .await
        .map_err(storage_error)?;
    let aliases = aliases
        .into_iter()
        .filter_map(|alias| RoomAliasId::parse(alias).ok());
    Ok(RumaBody(Response::new(aliases.collect())))
}
