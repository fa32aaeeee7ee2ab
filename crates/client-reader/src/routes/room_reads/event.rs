//! `GET /_matrix/client/v3/rooms/{roomId}/event/{eventId}`

use std::sync::Arc;

use axum::extract::State;
use ganglion_accounts::storage_error;
use ganglion_http_kit::{ApiError, JsonBytes, Ruma};
use ganglion_rooms::View;
use ganglion_rooms::client_event::Writer;
use ruma::EventId;
use ruma::api::client::room::get_room_event::v3::Request;

use super::{no_event, onlooker, visible_event};
use crate::caller::Caller;
use crate::state::AppState;

/// One event, if the caller may see it.
pub(crate) async fn get(
    State(app): State<AppState>,
    caller: Caller,
    Ruma(request): Ruma<Request>,
) -> Result<JsonBytes, ApiError> {
    let view = caller.view(&app);
    let place = (request.room_id.as_str(), &*request.event_id);
    answer(&app, &caller, view, place).await
}

/// An event of a room.
///
/// # Errors
/// 404 for what is not there, and for what the caller may not see, as the specification wants it.
pub(super) async fn answer(
    app: &AppState,
    caller: &Caller,
    mut view: View,
    (room_id, event_id): (&str, &EventId),
) -> Result<JsonBytes, ApiError> {
    let entered = app
        .rooms
        .enter(&mut view, room_id, caller.viewer(app))
        .await
        .map_err(storage_error)?
        .ok_or_else(no_event)?;
    let room = &entered.room;
    let event = visible_event(caller, &mut view, &entered, event_id).await?;
    if entered.ignored.hides(&event) {
        return Err(no_event().into());
    }
    let events = [Arc::new(event)];
    let extras = app
        .rooms
        .extras_with_relations(&mut view, room, &events, onlooker(app, caller, &entered))
        .await
        .map_err(storage_error)?;
    let writer = Writer {
        viewer: caller.viewer(app),
        room,
        changes: &entered.changes,
        extras: &extras,
        with_room_id: true,
        fields: None,
    };
    let mut body = Vec::with_capacity(512);
    let [event] = events;
    writer.write(&mut body, &event);
    Ok(JsonBytes(body))
}
