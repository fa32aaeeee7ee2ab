//! `GET /_matrix/client/v1/rooms/{roomId}/relations/{eventId}`, also with `/{relType}` and with
//! `/{relType}/{eventType}`.

use axum::extract::State;
use ganglion_accounts::storage_error;
use ganglion_http_kit::{ApiError, JsonBytes, Ruma};
use ganglion_model::{MatrixError, PageToken};
use ganglion_rooms::{Access, Page, PageRequest, Source};
use ganglion_storage::relations::{DEPTH, Related};
use ruma::api::client::filter::RoomEventFilter;
use ruma::api::client::relations::{
    get_relating_events::v1::Request as AllRequest,
    get_relating_events_with_rel_type::v1::Request as KindRequest,
    get_relating_events_with_rel_type_and_event_type::v1::Request as TypeRequest,
};
use ruma::{OwnedEventId, OwnedRoomId, UInt};
use serde_json::Value;

use super::messages::{Asked, place, write_chunk};
use super::{no_event, visible_event};
use crate::caller::Caller;
use crate::state::AppState;

/// Events of one page without a limit, and the most of one with it.
const DEFAULT_LIMIT: u64 = 20;
const MOST: u64 = 100;

/// All children of an event.
pub(crate) async fn all(
    State(app): State<AppState>,
    caller: Caller,
    Ruma(request): Ruma<AllRequest>,
) -> Result<JsonBytes, ApiError> {
    let children = Children {
        room_id: request.room_id,
        event_id: request.event_id,
        rel_type: None,
        event_type: None,
        recurse: request.recurse,
        limit: request.limit,
    };
    let asked = Asked {
        dir: request.dir,
        from: request.from.as_deref(),
        to: request.to.as_deref(),
    };
    children.page(&app, &caller, asked).await
}

/// The children with one kind of relation.
pub(crate) async fn of_kind(
    State(app): State<AppState>,
    caller: Caller,
    Ruma(request): Ruma<KindRequest>,
) -> Result<JsonBytes, ApiError> {
    let children = Children {
        room_id: request.room_id,
        event_id: request.event_id,
        rel_type: Some(request.rel_type.to_string()),
        event_type: None,
        recurse: request.recurse,
        limit: request.limit,
    };
    let asked = Asked {
        dir: request.dir,
        from: request.from.as_deref(),
        to: request.to.as_deref(),
    };
    children.page(&app, &caller, asked).await
}

/// The children with one kind of relation and of one type.
pub(crate) async fn of_kind_and_type(
    State(app): State<AppState>,
    caller: Caller,
    Ruma(request): Ruma<TypeRequest>,
) -> Result<JsonBytes, ApiError> {
    let children = Children {
        room_id: request.room_id,
        event_id: request.event_id,
        rel_type: Some(request.rel_type.to_string()),
        event_type: Some(request.event_type.to_string()),
        recurse: request.recurse,
        limit: request.limit,
    };
    let asked = Asked {
        dir: request.dir,
        from: request.from.as_deref(),
        to: request.to.as_deref(),
    };
    children.page(&app, &caller, asked).await
}

/// What the three endpoints have in common.
struct Children {
    room_id: OwnedRoomId,
    event_id: OwnedEventId,
    rel_type: Option<String>,
    event_type: Option<String>,
    recurse: bool,
    limit: Option<UInt>,
}

impl Children {
    async fn page(
        &self,
        app: &AppState,
        caller: &Caller,
        asked: Asked<'_>,
    ) -> Result<JsonBytes, ApiError> {
        let mut view = caller.view(app);
        let entered = app
            .rooms
            .enter(&mut view, self.room_id.as_str(), caller.viewer(app))
            .await
            .map_err(storage_error)?
            .filter(|entered| entered.access != Access::None)
            .ok_or_else(no_event)?;
        let parent = visible_event(caller, &mut view, &entered, &self.event_id).await?;
        let place = place(caller, &mut view, &entered, asked).await?;
        let limit = self.limit.map_or(DEFAULT_LIMIT, u64::from).clamp(1, MOST);
        let page = PageRequest {
            source: Source::Related(Related {
                parent: &parent.event_id,
                rel_type: self.rel_type.as_deref(),
                event_type: self.event_type.as_deref(),
                deep: self.recurse,
            }),
            dir: asked.dir,
            range: place.range,
            limit: usize::try_from(limit).map_err(|_too_big| MatrixError::internal())?,
            filter: &RoomEventFilter::default(),
        };
        let page = app
            .rooms
            .page(&mut view, &entered, caller.user_nid, page)
            .await
            .map_err(storage_error)?;
        let mut body = self.head(&page, &place, asked.from.is_some()).into_bytes();
        body.extend_from_slice(b"\"chunk\":");
        write_chunk(app, caller, &mut view, &entered, (&page, &mut body))
            .await
            .map_err(storage_error)?;
        body.push(b'}');
        Ok(JsonBytes(body))
    }

    /// All members but the chunk.
    fn head(&self, page: &Page, place: &super::messages::Place, has_before: bool) -> String {
        let token = |position| {
            let generation = place.generation;
            let token = PageToken {
                generation,
                position,
            };
            Value::from(token.encode())
        };
        let mut head = "{".to_owned();
        if let Some(end) = page.end {
            head.push_str(&format!("\"next_batch\":{},", token(end)));
        }
        if has_before {
            head.push_str(&format!("\"prev_batch\":{},", token(place.start)));
        }
        if self.recurse {
            head.push_str(&format!("\"recursion_depth\":{DEPTH},"));
        }
        head
    }
}
