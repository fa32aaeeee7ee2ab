//! `GET /_matrix/client/v3/notifications`

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::State;
use ganglion_accounts::storage_error;
use ganglion_http_kit::{ApiError, JsonBytes, Ruma};
use ganglion_model::{MatrixError, Position, SoftPlace, SyncToken, Vector};
use ganglion_rooms::client_event::Writer;
use ganglion_rooms::notifications::{List, ListRequest, Notification};
use ganglion_rooms::relations::Onlooker;
use ganglion_rooms::{Extras, RoomEvent, View};
use ganglion_storage::{StorageError, accounts, timeline};
use ruma::api::client::push::get_notifications::v3::Request;
use serde_json::{Value, json};

use crate::caller::Caller;
use crate::state::AppState;

/// Notifications of one page without a limit, and the most of one with it.
const DEFAULT_LIMIT: u64 = 20;
const MOST: u64 = 100;

/// A page of the events that have notified the caller, the newest first.
pub(crate) async fn get(
    State(app): State<AppState>,
    caller: Caller,
    Ruma(request): Ruma<Request>,
) -> Result<JsonBytes, ApiError> {
    let limit = request.limit.map_or(DEFAULT_LIMIT, u64::from).min(MOST);
    if limit == 0 {
        return Err(MatrixError::invalid_param("`limit` is more than zero").into());
    }
    let only_highlights = match request.only.as_deref() {
        None => false,
        Some("highlight") => true,
        Some(_) => return Err(MatrixError::invalid_param("`only` is \"highlight\"").into()),
    };
    let mut view = caller.view(&app);
    let from = match request.from.as_deref() {
        Some(from) => Some(place(&caller, &mut view, from).await?),
        None => None,
    };
    let snapshot = view.snapshot().await.map_err(storage_error)?;
    let stored = accounts::own_push_rules(snapshot, &[caller.user_nid]).await;
    let stored = stored.map_err(storage_error)?;
    let rules = stored
        .first()
        .map(|(.., stored)| ganglion_push_rules::rules(Some(stored), &caller.user_id));
    let request = ListRequest {
        viewer: caller.viewer(&app),
        rules: rules.as_ref(),
        from,
        limit: usize::try_from(limit).unwrap_or(usize::MAX),
        only_highlights,
    };
    let list = app.rooms.notifications(&mut view, request).await;
    let list = list.map_err(storage_error)?;
    let body = write(&app, &caller, &mut view, &list).await;
    Ok(JsonBytes(body.map_err(storage_error)?))
}

/// The place that a token means: that of the rooms in a sync token. One of an earlier generation
/// counts only as far as that one's history was kept.
async fn place(caller: &Caller, view: &mut View, from: &str) -> Result<Vector, MatrixError> {
    let token =
        SyncToken::decode(from).map_err(|error| MatrixError::invalid_param(error.to_string()))?;
    let mut rooms = token.rooms;
    if token.generation >= caller.barrier.heads.generation {
        return Ok(rooms);
    }
    let snapshot = view.snapshot().await.map_err(storage_error)?;
    let clamps = timeline::clamps(snapshot, token.generation).await;
    for (shard, end) in clamps.map_err(storage_error)? {
        rooms.set(shard, rooms.get(shard).min(end));
    }
    Ok(rooms)
}

fn token(caller: &Caller, rooms: Vector) -> String {
    let token = SyncToken {
        generation: caller.barrier.heads.generation,
        rooms,
        user: 0,
        devices: 0,
        typing: SoftPlace::default(),
        sees_typing: false,
        presence: SoftPlace::default(),
    };
    token.encode()
}

async fn write(
    app: &AppState,
    caller: &Caller,
    view: &mut View,
    list: &List,
) -> Result<Vec<u8>, StorageError> {
    let mut extras: HashMap<usize, Extras> = HashMap::new();
    for (index, (room, changes)) in &list.rooms {
        let of_room = list.notifications.iter().filter(|one| one.room == *index);
        let events: Vec<Arc<RoomEvent>> = of_room.map(|one| one.event.clone()).collect();
        let onlooker = Onlooker {
            viewer: caller.viewer(app),
            changes,
            up_to: Position::MAX,
        };
        let shown = app
            .rooms
            .extras_with_relations(view, room, &events, onlooker);
        extras.insert(*index, shown.await?);
    }
    let mut body = b"{".to_vec();
    if let Some(next) = list.next {
        let next = Value::from(token(caller, next));
        body.extend(format!("\"next_token\":{next},").into_bytes());
    }
    body.extend_from_slice(b"\"notifications\":[");
    let mut first = true;
    for one in &list.notifications {
        let (Some((room, changes)), Some(extras)) =
            (list.rooms.get(&one.room), extras.get(&one.room))
        else {
            continue;
        };
        if !std::mem::take(&mut first) {
            body.push(b',');
        }
        let writer = Writer {
            viewer: caller.viewer(app),
            room,
            changes,
            extras,
            with_room_id: false,
            fields: None,
        };
        write_one(&mut body, &writer, one);
    }
    body.extend_from_slice(b"]}");
    Ok(body)
}

fn write_one(body: &mut Vec<u8>, writer: &Writer<'_>, one: &Notification) {
    let actions = json!(one.actions);
    body.extend(format!("{{\"actions\":{actions},\"event\":").into_bytes());
    writer.write(body, &one.event);
    let (read, ts) = (one.read, one.event.origin_server_ts);
    let room_id = Value::from(&*writer.room.id);
    body.extend(format!(",\"read\":{read},\"room_id\":{room_id},\"ts\":{ts}}}").into_bytes());
}
