//! `GET /_matrix/client/v1/rooms/{roomId}/threads`

use std::sync::Arc;

use axum::extract::State;
use ganglion_accounts::storage_error;
use ganglion_event_rules::redact::redact;
use ganglion_http_kit::{ApiError, JsonBytes, Ruma};
use ganglion_model::{EventNid, MatrixError, PageToken, Position};
use ganglion_rooms::visibility::{is_visible, sight};
use ganglion_rooms::{Entered, Page, RoomEvent, View};
use ganglion_storage::StorageError;
use ganglion_storage::relations::{self, Beholder};
use ruma::api::client::threads::get_threads::v1::{IncludeThreads, Request};
use serde_json::Value;

use super::messages::write_chunk;
use super::{enter, position};
use crate::caller::Caller;
use crate::state::AppState;

/// Threads of one page without a limit, and the most of one with it.
const DEFAULT_LIMIT: u64 = 20;
const MOST: u64 = 100;

/// The roots of a room's threads, that with the newest reply first.
pub(crate) async fn get(
    State(app): State<AppState>,
    caller: Caller,
    Ruma(request): Ruma<Request>,
) -> Result<JsonBytes, ApiError> {
    let limit = request.limit.map_or(DEFAULT_LIMIT, u64::from).min(MOST);
    if limit == 0 {
        return Err(MatrixError::invalid_param("`limit` is more than zero").into());
    }
    let only_participated = match request.include {
        IncludeThreads::All => false,
        IncludeThreads::Participated => true,
        _ => {
            let message = "`include` is \"all\" or \"participated\"";
            return Err(MatrixError::invalid_param(message).into());
        }
    };
    let mut view = caller.view(&app);
    let entered = enter(&app, &caller, &mut view, &request.room_id).await?;
    let place = place(&caller, &mut view, &entered, request.from.as_deref()).await?;
    let asked = (limit, only_participated);
    let (roots, next) = roots(&app, &caller, &mut view, &entered, (place, asked))
        .await
        .map_err(storage_error)?;
    let mut body = b"{".to_vec();
    if let Some(next) = next {
        let token = Value::from(Place { next, ..place }.encode(&caller));
        body.extend(format!("\"next_batch\":{token},").into_bytes());
    }
    body.extend_from_slice(b"\"chunk\":");
    let page = Page {
        events: roots,
        end: None,
    };
    write_chunk(&app, &caller, &mut view, &entered, (&page, &mut body))
        .await
        .map_err(storage_error)?;
    body.push(b'}');
    Ok(JsonBytes(body))
}

/// Where a list is: its order is that of the moment it was first asked for, so that a thread which
/// gets a reply meanwhile is not missed.
#[derive(Debug, Clone, Copy)]
struct Place {
    as_of: Position,
    next: Position,
}

impl Place {
    /// Two page tokens.
    fn encode(self, caller: &Caller) -> String {
        let token = |position| {
            let generation = caller.barrier.heads.generation;
            let token = PageToken {
                generation,
                position,
            };
            token.encode()
        };
        format!("{}.{}", token(self.as_of), token(self.next))
    }
}

async fn place(
    caller: &Caller,
    view: &mut View,
    entered: &Entered,
    from: Option<&str>,
) -> Result<Place, MatrixError> {
    let shard = entered.room.shard;
    let Some(from) = from else {
        let snapshot = view.snapshot().await.map_err(storage_error)?;
        let head = snapshot.heads().await.map_err(storage_error)?.get(shard);
        return Ok(Place {
            as_of: head,
            next: head,
        });
    };
    let (as_of, next) = from
        .split_once('.')
        .ok_or_else(|| MatrixError::invalid_param("not a token of this list"))?;
    let generation = caller.barrier.heads.generation;
    Ok(Place {
        as_of: position(view, generation, shard, as_of).await?,
        next: position(view, generation, shard, next).await?,
    })
}

async fn roots(
    app: &AppState,
    caller: &Caller,
    view: &mut View,
    entered: &Entered,
    (place, (limit, only_participated)): (Place, (u64, bool)),
) -> Result<(Vec<Arc<RoomEvent>>, Option<Position>), StorageError> {
    let room = &entered.room;
    let beholder = Beholder {
        user_nid: caller.user_nid,
        sight: &sight(&entered.changes),
        ignored: entered.ignored.users(),
        up_to: place.as_of,
    };
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    // One more shows whether there is a next page.
    let from = (place.next, i64::try_from(limit + 1).unwrap_or(i64::MAX));
    let snapshot = view.snapshot().await?;
    let room_place = (room.shard, room.nid);
    let mut threads =
        relations::threads(snapshot, room_place, &beholder, from, only_participated).await?;
    let mut next = threads.looked_down_to.map(|pos| pos - 1);
    if threads.found.len() > limit {
        threads.found.truncate(limit);
        next = threads.found.last().map(|(pos, _)| pos - 1);
    }
    let nids: Vec<EventNid> = threads.found.iter().map(|(_, root)| *root).collect();
    let events = app.rooms.events(view, room, nids.iter().copied()).await?;
    let roots = nids.iter().filter_map(|nid| events.get(nid));
    let seen = roots.filter(|root| is_visible(root, caller.user_nid, &entered.changes));
    let shown = seen.map(|root| {
        if entered.ignored.has(&root.sender) {
            Arc::new(as_redacted(root, entered))
        } else {
            root.clone()
        }
    });
    Ok((shown.collect(), next))
}

/// The root of an ignored user shows that there is a thread, but not what it says.
fn as_redacted(root: &RoomEvent, entered: &Entered) -> RoomEvent {
    let left = redact(&root.event_type, &root.content, b"{}", entered.room.version);
    let content = left.map_or_else(|_damaged| b"{}".to_vec(), |left| left.content);
    RoomEvent {
        content: content.into(),
        redacts: None,
        ..root.clone()
    }
}
