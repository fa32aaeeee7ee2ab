//! `GET /_matrix/client/v3/rooms/{roomId}/messages`

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::State;
use ganglion_accounts::storage_error;
use ganglion_http_kit::{ApiError, JsonBytes, Ruma};
use ganglion_model::{MatrixError, PageToken, Position};
use ganglion_rooms::client_event::Writer;
use ganglion_rooms::{Entered, Page, PageRequest, RoomEvent, Source, View, filter};
use ganglion_storage::StorageError;
use ganglion_storage::timeline::Range;
use ruma::api::Direction;
use ruma::api::client::message::get_message_events::v3::Request;
use serde_json::Value;

use super::state::write_state;
use super::{enter, onlooker, position};
use crate::caller::Caller;
use crate::state::AppState;

/// The most events of one page.
pub(super) const MOST: usize = 1_000;

/// A page of a room's history, as far as the caller may see it.
pub(crate) async fn get(
    State(app): State<AppState>,
    caller: Caller,
    Ruma(request): Ruma<Request>,
) -> Result<JsonBytes, ApiError> {
    let mut view = caller.view(&app);
    let entered = enter(&app, &caller, &mut view, &request.room_id).await?;
    let asked = Asked {
        dir: request.dir,
        from: request.from.as_deref(),
        to: request.to.as_deref(),
    };
    let place = place(&caller, &mut view, &entered, asked).await?;
    let page = PageRequest {
        source: Source::Log,
        dir: request.dir,
        range: place.range,
        limit: limit(&request),
        filter: &request.filter,
    };
    let mut page = app
        .rooms
        .page(&mut view, &entered, caller.user_nid, page)
        .await
        .map_err(storage_error)?;
    // Behind `to` the history goes on.
    page.end = page.end.or(place.to);
    let token = |position| {
        PageToken {
            generation: place.generation,
            position,
        }
        .encode()
    };
    let state = lazy_members(&app, &mut view, &entered, &request, &page);
    let state = state.await.map_err(storage_error)?;
    let start = request.from.clone().unwrap_or_else(|| token(place.start));
    let mut body = format!("{{\"start\":{}", Value::from(start)).into_bytes();
    if let Some(end) = page.end {
        body.extend(format!(",\"end\":{}", Value::from(token(end))).into_bytes());
    }
    body.extend_from_slice(b",\"chunk\":");
    write_chunk(&app, &caller, &mut view, &entered, (&page, &mut body))
        .await
        .map_err(storage_error)?;
    if !state.is_empty() {
        body.extend_from_slice(b",\"state\":");
        write_state(&app, &caller, &mut view, &entered, &state, &mut body)
            .await
            .map_err(storage_error)?;
    }
    body.push(b'}');
    Ok(JsonBytes(body))
}

/// What a client says of where a page lies.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) dir: Direction,
    pub(super) from: Option<&'a str>,
    pub(super) to: Option<&'a str>,
}

/// Where a page begins and how far it may go.
pub(super) struct Place {
    pub(super) generation: i32,
    pub(super) start: Position,
    pub(super) to: Option<Position>,
    pub(super) range: Range,
}

pub(super) async fn place(
    caller: &Caller,
    view: &mut View,
    entered: &Entered,
    asked: Asked<'_>,
) -> Result<Place, MatrixError> {
    let shard = entered.room.shard;
    let generation = caller.barrier.heads.generation;
    // Everything that the view shows lies at or below its own heads.
    let snapshot = view.snapshot().await.map_err(storage_error)?;
    let head = snapshot.heads().await.map_err(storage_error)?.get(shard);
    let to = match asked.to {
        Some(token) => Some(position(view, generation, shard, token).await?),
        None => None,
    };
    let from = match asked.from {
        Some(token) => Some(position(view, generation, shard, token).await?.min(head)),
        None => None,
    };
    let (start, range) = match asked.dir {
        Direction::Backward => {
            let start = from.unwrap_or(head);
            (
                start,
                Range {
                    after: to.unwrap_or(Position::MIN),
                    up_to: start,
                },
            )
        }
        Direction::Forward => {
            let start = from.unwrap_or(Position::MIN);
            (
                start,
                Range {
                    after: start,
                    up_to: to.unwrap_or(head).min(head),
                },
            )
        }
    };
    Ok(Place {
        generation,
        start,
        to,
        range,
    })
}

fn limit(request: &Request) -> usize {
    let asked = usize::try_from(u64::from(request.limit)).unwrap_or(usize::MAX);
    asked
        .min(filter::limit(&request.filter, MOST, MOST))
        .min(MOST)
}

/// With lazy loading: the member events of the page's senders, as of its newest event.
async fn lazy_members(
    app: &AppState,
    view: &mut View,
    entered: &Entered,
    request: &Request,
    page: &Page,
) -> Result<Vec<Arc<RoomEvent>>, StorageError> {
    let newest = page.events.iter().max_by_key(|event| event.pos);
    let Some(newest) = newest.filter(|_| filter::is_lazy(&request.filter)) else {
        return Ok(Vec::new());
    };
    let senders: BTreeSet<&str> = page
        .events
        .iter()
        .map(|event| event.sender.as_str())
        .collect();
    let keys = senders
        .into_iter()
        .map(|user| ("m.room.member".to_owned(), user.to_owned()));
    let state = app
        .rooms
        .chain(view, &entered.room, newest.snapshot_after)
        .await?;
    let members = app
        .rooms
        .state_at_keys(view, &entered.room, &state, keys)
        .await?;
    let mut members: Vec<Arc<RoomEvent>> = members.into_values().collect();
    members.sort_by_key(|member| (member.pos, member.nid));
    Ok(members)
}

/// Appends the events of a page.
pub(super) async fn write_chunk(
    app: &AppState,
    caller: &Caller,
    view: &mut View,
    entered: &Entered,
    (page, out): (&Page, &mut Vec<u8>),
) -> Result<(), StorageError> {
    let onlooker = onlooker(app, caller, entered);
    let extras = app
        .rooms
        .extras_with_relations(view, &entered.room, &page.events, onlooker)
        .await?;
    let writer = Writer {
        viewer: caller.viewer(app),
        room: &entered.room,
        changes: &entered.changes,
        extras: &extras,
        with_room_id: true,
        fields: None,
    };
    writer.write_list(out, page.events.iter().map(Arc::as_ref));
    Ok(())
}
