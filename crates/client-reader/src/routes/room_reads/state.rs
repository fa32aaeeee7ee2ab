//! `GET /_matrix/client/v3/rooms/{roomId}/state`

use std::sync::Arc;

use axum::extract::State;
use ganglion_accounts::storage_error;
use ganglion_http_kit::{ApiError, JsonBytes, Ruma};
use ganglion_model::Position;
use ganglion_rooms::client_event::Writer;
use ganglion_rooms::{Entered, RoomEvent, View};
use ganglion_storage::StorageError;
use ganglion_storage::state::Wanted;
use ruma::api::client::state::get_state_events::v3::Request;

use super::enter;
use crate::caller::Caller;
use crate::state::AppState;

/// The room's state: as it is, or as it was when the caller left.
pub(crate) async fn get(
    State(app): State<AppState>,
    caller: Caller,
    Ruma(request): Ruma<Request>,
) -> Result<JsonBytes, ApiError> {
    let mut view = caller.view(&app);
    let entered = enter(&app, &caller, &mut view, &request.room_id).await?;
    let events = state_at(&app, &mut view, &entered, Position::MAX, Wanted::All)
        .await
        .map_err(storage_error)?;
    let mut body = Vec::with_capacity(4_096);
    write_state(&app, &caller, &mut view, &entered, &events, &mut body)
        .await
        .map_err(storage_error)?;
    Ok(JsonBytes(body))
}

/// Events of the state at a place, or where the caller's reading ends if that is earlier.
pub(super) async fn state_at(
    app: &AppState,
    view: &mut View,
    entered: &Entered,
    at: Position,
    wanted: Wanted<'_>,
) -> Result<Vec<Arc<RoomEvent>>, StorageError> {
    let room = &entered.room;
    let chain = app.rooms.state_at(view, room, entered.readable(at)).await?;
    let all = chain
        .to_map()
        .map_err(|needs| StorageError::inconsistent(needs.to_string()))?;
    app.rooms
        .state_events(view, room, all.into_values().collect(), wanted)
        .await
}

/// Appends a list of state events.
pub(super) async fn write_state(
    app: &AppState,
    caller: &Caller,
    view: &mut View,
    entered: &Entered,
    events: &[Arc<RoomEvent>],
    out: &mut Vec<u8>,
) -> Result<(), StorageError> {
    let extras = app.rooms.state_extras(view, &entered.room, events).await?;
    let writer = Writer {
        viewer: caller.viewer(app),
        room: &entered.room,
        changes: &entered.changes,
        extras: &extras,
        with_room_id: true,
        fields: None,
    };
    writer.write_list(out, events.iter().map(Arc::as_ref));
    Ok(())
}
