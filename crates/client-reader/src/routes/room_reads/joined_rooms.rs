//! `GET /_matrix/client/v3/joined_rooms`

use axum::extract::State;
use ganglion_accounts::storage_error;
use ganglion_http_kit::{ApiError, RumaBody};
use ganglion_model::Membership;
use ganglion_storage::memberships;
use ruma::RoomId;
use ruma::api::client::membership::joined_rooms::v3::Response;

use crate::caller::Caller;
use crate::state::AppState;

/// The rooms that the caller is joined to.
pub(crate) async fn get(
    State(app): State<AppState>,
    caller: Caller,
) -> Result<RumaBody<Response>, ApiError> {
    let mut view = caller.view(&app);
    let snapshot = view.snapshot().await.map_err(storage_error)?;
    let rooms = memberships::of_user(snapshot, caller.user_nid)
        .await
        .map_err(storage_error)?;
    let joined = rooms.into_iter().filter(|room| {
        room.changes
            .last()
            .is_some_and(|change| change.membership == Membership::Join)
    });
    let joined = joined.filter_map(|room| RoomId::parse(room.room_id).ok());
    Ok(RumaBody(Response::new(joined.collect())))
}
