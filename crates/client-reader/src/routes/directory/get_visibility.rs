//! `GET /_matrix/client/v3/directory/list/room/{roomId}`

use axum::extract::State;
use ganglion_accounts::storage_error;
use ganglion_http_kit::{ApiError, Ruma, RumaBody};
use ganglion_model::MatrixError;
use ganglion_rooms::View;
use ganglion_storage::directory;
use ruma::api::client::directory::get_room_visibility::v3::{Request, Response};
use ruma::api::client::room::Visibility;

use crate::state::AppState;

/// Whether a room is in the public directory; anybody may ask.
pub(crate) async fn get(
    State(app): State<AppState>,
    Ruma(request): Ruma<Request>,
) -> Result<RumaBody<Response>, ApiError> {
    let mut view = View::new(&app.db, None);
    let room = app
        .rooms
        .find(&mut view, request.room_id.as_str())
        .await
        .map_err(storage_error)?
        .ok_or_else(|| MatrixError::not_found("no such room"))?;
    let snapshot = view.snapshot().await.map_err(storage_error)?;
    let published = directory::is_published(snapshot, room.nid)
        .await
        .map_err(storage_error)?;
    let visibility = match published {
        true => Visibility::Public,
        false => Visibility::Private,
    };
    Ok(RumaBody(Response::new(visibility)))
}
