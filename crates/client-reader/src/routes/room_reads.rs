//! Reading rooms.

mod context;
mod event;
mod event_by_id;
mod initial_sync;
mod joined_members;
mod joined_rooms;
mod members;
mod messages;
mod relations;
mod state;
mod state_event;
mod threads;
mod timestamp_to_event;

use ganglion_accounts::storage_error;
use ganglion_http_kit::Routes;
use ganglion_model::{Generation, MatrixError, PageToken, Position, Shard};
use ganglion_rooms::relations::Onlooker;
use ganglion_rooms::visibility::is_visible;
use ganglion_rooms::{Access, Entered, RoomEvent, View};
use ganglion_storage::timeline;
use http::Method;
use ruma::api::client::context::get_context;
use ruma::api::client::membership::{
    get_member_events, joined_members as joined_members_api, joined_rooms as joined_rooms_api,
};
use ruma::api::client::message::get_message_events;
use ruma::api::client::peeking::get_current_state;
use ruma::api::client::relations::{
    get_relating_events, get_relating_events_with_rel_type,
    get_relating_events_with_rel_type_and_event_type,
};
use ruma::api::client::room::{get_event_by_timestamp, get_room_event};
use ruma::api::client::state::get_state_events;
use ruma::api::client::threads::get_threads;
use ruma::{EventId, RoomId};

use crate::caller::Caller;
use crate::state::AppState;

pub(crate) fn routes(routes: &mut Routes<AppState>) {
    routes.ruma::<joined_rooms_api::v3::Request, _, _>(joined_rooms::get);
    routes.ruma::<get_member_events::v3::Request, _, _>(members::get);
    routes.ruma::<joined_members_api::v3::Request, _, _>(joined_members::get);
    routes.ruma::<get_state_events::v3::Request, _, _>(state::get);
    routes.ruma::<get_room_event::v3::Request, _, _>(event::get);
    routes.ruma::<get_message_events::v3::Request, _, _>(messages::get);
    routes.ruma::<get_context::v3::Request, _, _>(context::get);
    routes.ruma::<get_relating_events::v1::Request, _, _>(relations::all);
    routes.ruma::<get_relating_events_with_rel_type::v1::Request, _, _>(relations::of_kind);
    routes.ruma::<get_relating_events_with_rel_type_and_event_type::v1::Request, _, _>(
        relations::of_kind_and_type,
    );
    routes.ruma::<get_threads::v1::Request, _, _>(threads::get);
    routes.ruma::<get_event_by_timestamp::v1::Request, _, _>(timestamp_to_event::get);
    routes.ruma::<get_current_state::v3::Request, _, _>(initial_sync::get);
    // An empty state key may be left out, with or without its slash.
    for version in ["r0", "v3"] {
        for path in [
            "state/{event_type}/{state_key}",
            "state/{event_type}",
            "state/{event_type}/",
        ] {
            let path = format!("/_matrix/client/{version}/rooms/{{room_id}}/{path}");
            routes.at(Method::GET, &path, state_event::get);
        }
        let path = format!("/_matrix/client/{version}/events/{{event_id}}");
        routes.at(Method::GET, &path, event_by_id::get);
    }
}

/// A room of which the caller may read something.
///
/// # Errors
/// 403 for a room that is not known here, too: who may not enter learns nothing.
async fn enter(
    app: &AppState,
    caller: &Caller,
    view: &mut View,
    room_id: &RoomId,
) -> Result<Entered, MatrixError> {
    let entered = app
        .rooms
        .enter(view, room_id.as_str(), caller.viewer(app))
        .await;
    entered
        .map_err(storage_error)?
        .filter(|entered| entered.access != Access::None)
        .ok_or_else(|| MatrixError::forbidden("you are not in this room"))
}

/// An event of a room that the caller may see.
///
/// # Errors
/// 404 for one that is not there and for one that is hidden alike.
pub(super) async fn visible_event(
    caller: &Caller,
    view: &mut View,
    entered: &Entered,
    event_id: &EventId,
) -> Result<RoomEvent, MatrixError> {
    let room = &entered.room;
    let snapshot = view.snapshot().await.map_err(storage_error)?;
    let record = timeline::by_id(snapshot, room.shard, room.nid, event_id.as_str())
        .await
        .map_err(storage_error)?;
    record
        .map(|record| RoomEvent::from_record(record, room.version))
        .filter(|event| is_visible(event, caller.user_nid, &entered.changes))
        .ok_or_else(no_event)
}

/// For whom an event's children are told of: all that the caller may see now.
fn onlooker<'a>(app: &AppState, caller: &'a Caller, entered: &'a Entered) -> Onlooker<'a> {
    Onlooker {
        viewer: caller.viewer(app),
        changes: &entered.changes,
        up_to: Position::MAX,
    }
}

/// 404 for an event.
pub(super) fn no_event() -> MatrixError {
    MatrixError::not_found("there is no such event, or you may not see it")
}

/// The place that a token of `/sync` or `/messages` means in a room's shard. A token of an earlier
/// generation counts only as far as that one's history was kept.
async fn position(
    view: &mut View,
    generation: Generation,
    shard: Shard,
    token: &str,
) -> Result<Position, MatrixError> {
    let token = PageToken::decode(token, shard)
        .map_err(|error| MatrixError::invalid_param(error.to_string()))?;
    if token.generation >= generation {
        return Ok(token.position);
    }
    let snapshot = view.snapshot().await.map_err(storage_error)?;
    let clamps = timeline::clamps(snapshot, token.generation)
        .await
        .map_err(storage_error)?;
    let clamp = clamps.into_iter().find(|(clamped, _)| *clamped == shard);
    Ok(clamp.map_or(token.position, |(_, end)| token.position.min(end)))
}
