//! `GET /_matrix/client/v3/rooms/{roomId}/state/{eventType}/{stateKey}`, also without state key.

use axum::extract::State;
use ganglion_accounts::storage_error;
use ganglion_http_kit::{ApiError, JsonBytes, Ruma};
use ganglion_model::{MatrixError, Position};
use ganglion_rooms::client_event::Writer;
use ruma::api::client::state::get_state_event_for_key::v3::{Request, StateEventFormat};

use super::enter;
use crate::caller::Caller;
use crate::state::AppState;

/// One piece of the room's state: its content, or the whole event.
pub(crate) async fn get(
    State(app): State<AppState>,
    caller: Caller,
    Ruma(request): Ruma<Request>,
) -> Result<JsonBytes, ApiError> {
    let mut view = caller.view(&app);
    let entered = enter(&app, &caller, &mut view, &request.room_id).await?;
    let at = entered.readable(Position::MAX);
    let room = &entered.room;
    let state = app
        .rooms
        .state_at(&mut view, room, at)
        .await
        .map_err(storage_error)?;
    let key = (request.event_type.to_string(), request.state_key);
    let found = app
        .rooms
        .state_at_keys(&mut view, room, &state, [key])
        .await
        .map_err(storage_error)?;
    let none = || MatrixError::not_found("the room has no such state");
    let event = found.into_values().next().ok_or_else(none)?;
    match request.format {
        StateEventFormat::Content => Ok(JsonBytes(event.content.to_vec())),
        StateEventFormat::Event => {
            let events = [event];
            let extras = app
                .rooms
                .extras(&mut view, room, &events, &entered.changes)
                .await
                .map_err(storage_error)?;
            let writer = Writer {
                viewer: caller.viewer(&app),
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
        _ => Err(MatrixError::invalid_param("`format` is \"content\" or \"event\"").into()),
    }
}
