//! `GET /_matrix/client/v3/rooms/{roomId}/context/{eventId}`

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::State;
use ganglion_accounts::storage_error;
use ganglion_http_kit::{ApiError, JsonBytes, Ruma};
use ganglion_model::{PageToken, Position};
use ganglion_rooms::client_event::Writer;
use ganglion_rooms::{Entered, Page, PageRequest, RoomEvent, Source, View, filter};
use ganglion_storage::StorageError;
use ganglion_storage::state::Wanted;
use ganglion_storage::timeline::Range;
use ruma::api::Direction;
use ruma::api::client::context::get_context::v3::Request;
use serde_json::Value;

use super::messages::MOST;
use super::state::{state_at, write_state};
use super::{enter, no_event, onlooker, visible_event};
use crate::caller::Caller;
use crate::state::AppState;

/// An event, what came just before and after it, and the room's state at the last of them.
pub(crate) async fn get(
    State(app): State<AppState>,
    caller: Caller,
    Ruma(request): Ruma<Request>,
) -> Result<JsonBytes, ApiError> {
    let mut view = caller.view(&app);
    let entered = enter(&app, &caller, &mut view, &request.room_id).await?;
    let event = visible_event(&caller, &mut view, &entered, &request.event_id).await?;
    let told = Some(&event).filter(|event| !entered.ignored.hides(event));
    let pos = told.and_then(|event| event.pos).ok_or_else(no_event)?;
    let around = around(&app, &caller, &mut view, &entered, (&request, pos))
        .await
        .map_err(storage_error)?;
    let context = Context {
        event: Arc::new(event),
        pos,
        around,
    };
    let body = context
        .write(&app, &caller, &mut view, &entered, &request)
        .await
        .map_err(storage_error)?;
    Ok(JsonBytes(body))
}

/// The pages before and after a place.
struct Around {
    before: Page,
    after: Page,
}

async fn around(
    app: &AppState,
    caller: &Caller,
    view: &mut View,
    entered: &Entered,
    (request, pos): (&Request, Position),
) -> Result<Around, StorageError> {
    let asked = usize::try_from(u64::from(request.limit)).unwrap_or(usize::MAX);
    let limit = asked.min(filter::limit(&request.filter, MOST, MOST));
    let heads = view.snapshot().await?.heads().await?;
    let before = PageRequest {
        source: Source::Log,
        dir: Direction::Backward,
        range: Range {
            after: Position::MIN,
            up_to: pos - 1,
        },
        limit: limit / 2,
        filter: &request.filter,
    };
    let after = PageRequest {
        source: Source::Log,
        dir: Direction::Forward,
        range: Range {
            after: pos,
            up_to: heads.get(entered.room.shard),
        },
        limit: limit - limit / 2,
        filter: &request.filter,
    };
    let user = caller.user_nid;
    Ok(Around {
        before: app.rooms.page(view, entered, user, before).await?,
        after: app.rooms.page(view, entered, user, after).await?,
    })
}

struct Context {
    event: Arc<RoomEvent>,
    pos: Position,
    around: Around,
}

impl Context {
    async fn write(
        &self,
        app: &AppState,
        caller: &Caller,
        view: &mut View,
        entered: &Entered,
        request: &Request,
    ) -> Result<Vec<u8>, StorageError> {
        let Around { before, after } = &self.around;
        let all: Vec<Arc<RoomEvent>> = before
            .events
            .iter()
            .chain([&self.event])
            .chain(&after.events)
            .cloned()
            .collect();
        let onlooker = onlooker(app, caller, entered);
        let extras = app
            .rooms
            .extras_with_relations(view, &entered.room, &all, onlooker)
            .await?;
        let state = self.state(app, view, entered, (request, &all)).await?;
        let writer = Writer {
            viewer: caller.viewer(app),
            room: &entered.room,
            changes: &entered.changes,
            extras: &extras,
            with_room_id: true,
            fields: None,
        };
        let token = |position| {
            let generation = caller.barrier.heads.generation;
            Value::from(
                PageToken {
                    generation,
                    position,
                }
                .encode(),
            )
        };
        let (start, end) = (token(self.start()), token(self.end()));
        let mut body = format!("{{\"start\":{start},\"end\":{end},\"event\":").into_bytes();
        writer.write(&mut body, &self.event);
        body.extend_from_slice(b",\"events_before\":");
        writer.write_list(&mut body, before.events.iter().map(Arc::as_ref));
        body.extend_from_slice(b",\"events_after\":");
        writer.write_list(&mut body, after.events.iter().map(Arc::as_ref));
        body.extend_from_slice(b",\"state\":");
        write_state(app, caller, view, entered, &state, &mut body).await?;
        body.push(b'}');
        Ok(body)
    }

    /// The state after the newest of the events; with lazy loading, of the members only the senders.
    async fn state(
        &self,
        app: &AppState,
        view: &mut View,
        entered: &Entered,
        (request, all): (&Request, &[Arc<RoomEvent>]),
    ) -> Result<Vec<Arc<RoomEvent>>, StorageError> {
        if !filter::accepts_room_in(&request.filter, &entered.room.id) {
            return Ok(Vec::new());
        }
        let newest = all.iter().filter_map(|event| event.pos).max();
        let at = newest.unwrap_or(self.pos);
        let mut state = if filter::is_lazy(&request.filter) {
            let senders: BTreeSet<&str> = all.iter().map(|event| event.sender.as_str()).collect();
            let keys = senders
                .into_iter()
                .map(|user| ("m.room.member".to_owned(), user.to_owned()));
            let slots = app.rooms.slots(view, keys).await?;
            let slots: Vec<_> = slots.into_values().collect();
            state_at(app, view, entered, at, Wanted::WithoutMembersBut(&slots)).await?
        } else {
            state_at(app, view, entered, at, Wanted::All).await?
        };
        state.retain(|event| filter::accepts(&request.filter, event));
        Ok(state)
    }

    /// Where `/messages` goes on backward.
    fn start(&self) -> Position {
        let Page { events, end } = &self.around.before;
        let first = events.last().and_then(|event| event.pos);
        end.unwrap_or_else(|| first.unwrap_or(self.pos) - 1)
    }

    /// Where `/messages` goes on forward.
    fn end(&self) -> Position {
        let Page { events, end } = &self.around.after;
        let last = events.last().and_then(|event| event.pos);
        end.unwrap_or_else(|| last.unwrap_or(self.pos))
    }
}
