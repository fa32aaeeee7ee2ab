//! `GET /_matrix/client/v3/directory/room/{roomAlias}`

use axum::extract::State;
use ganglion_http_kit::{ApiError, Ruma, RumaBody};
use ganglion_rooms::View;
use ruma::api::client::alias::get_alias::v3::{Request, Response};

use crate::state::AppState;

/// The room that an alias leads to; anybody may ask.
pub(crate) async fn get(
    State(app): State<AppState>,
    Ruma(request): Ruma<Request>,
) -> Result<RumaBody<Response>, ApiError> {
    let mut view = View::new(&app.db, None);
    let room_id = super::room_of(&app, &mut view, &request.room_alias).await?;
    let servers = vec![app.server_name.clone()];
    Ok(RumaBody(Response::new(room_id, servers)))
}
