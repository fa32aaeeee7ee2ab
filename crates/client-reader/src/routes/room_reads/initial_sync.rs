//! `GET /_matrix/client/v3/rooms/{roomId}/initialSync`

use std::sync::Arc;

use axum::extract::State;
use ganglion_accounts::storage_error;
use ganglion_http_kit::{ApiError, JsonBytes, Ruma};
use ganglion_model::{Membership, PageToken, Position, Shard};
use ganglion_rooms::{Entered, Page, PageRequest, RoomEvent, Source, View};
use ganglion_storage::state::Wanted;
use ganglion_storage::timeline::{self, AccountDataRecord, Range};
use ganglion_storage::{StorageError, directory};
use ruma::api::Direction;
use ruma::api::client::filter::RoomEventFilter;
use ruma::api::client::peeking::get_current_state::v3::Request;
use serde_json::Value;

use super::enter;
use super::messages::write_chunk;
use super::state::{state_at, write_state};
use crate::caller::Caller;
use crate::state::AppState;

/// How many messages are told. The request has no parameter for it; as many as a timeline of `/sync`
/// has without a limit.
const MESSAGES: usize = 10;

/// A room as it is, or as it was when the caller left: state, last messages, and what the caller keeps
/// with it. Readable for all, it is told to everybody.
pub(crate) async fn get(
    State(app): State<AppState>,
    caller: Caller,
    Ruma(request): Ruma<Request>,
) -> Result<JsonBytes, ApiError> {
    let mut view = caller.view(&app);
    let entered = enter(&app, &caller, &mut view, &request.room_id).await?;
    let room = Room::read(&app, &caller, &mut view, &entered)
        .await
        .map_err(storage_error)?;
    let body = room.write(&app, &caller, &mut view, &entered).await;
    Ok(JsonBytes(body.map_err(storage_error)?))
}

/// What is told of a room.
struct Room {
    /// The oldest event first.
    page: Page,
    /// All that is told lies at or below it.
    end: Position,
    state: Vec<Arc<RoomEvent>>,
    is_published: bool,
    account_data: Vec<AccountDataRecord>,
}

impl Room {
    async fn read(
        app: &AppState,
        caller: &Caller,
        view: &mut View,
        entered: &Entered,
    ) -> Result<Self, StorageError> {
        let room = &entered.room;
        let snapshot = view.snapshot().await?;
        let is_published = directory::is_published(snapshot, room.nid).await?;
        let shard = Shard::of_user(&caller.user_id);
        let account_data =
            timeline::room_account_data(snapshot, shard, caller.user_nid, &[room.nid]).await?;
        let end = entered.readable(snapshot.heads().await?.get(room.shard));
        let newest = PageRequest {
            source: Source::Log,
            dir: Direction::Backward,
            range: Range {
                after: Position::MIN,
                up_to: end,
            },
            limit: MESSAGES,
            filter: &RoomEventFilter::default(),
        };
        let mut page = app
            .rooms
            .page(view, entered, caller.user_nid, newest)
            .await?;
        page.events.reverse();
        Ok(Self {
            page,
            end,
            state: state_at(app, view, entered, end, Wanted::All).await?,
            is_published,
            account_data,
        })
    }

    async fn write(
        &self,
        app: &AppState,
        caller: &Caller,
        view: &mut View,
        entered: &Entered,
    ) -> Result<Vec<u8>, StorageError> {
        let generation = caller.barrier.heads.generation;
        let token = |position| {
            let token = PageToken {
                generation,
                position,
            };
            Value::from(token.encode())
        };
        let mut body = b"{\"account_data\":[".to_vec();
        for (index, data) in self.account_data.iter().enumerate() {
            if index > 0 {
                body.push(b',');
            }
            body.extend_from_slice(b"{\"content\":");
            body.extend_from_slice(&data.content);
            let data_type = Value::from(&*data.data_type);
            body.extend(format!(",\"type\":{data_type}}}").into_bytes());
        }
        body.push(b']');
        if let Some(membership) = membership(entered) {
            body.extend(format!(",\"membership\":\"{membership}\"").into_bytes());
        }
        body.extend_from_slice(b",\"messages\":{\"chunk\":");
        write_chunk(app, caller, view, entered, (&self.page, &mut body)).await?;
        body.extend(format!(",\"end\":{}", token(self.end)).into_bytes());
        if let Some(start) = self.page.end {
            body.extend(format!(",\"start\":{}", token(start)).into_bytes());
        }
        let room_id = Value::from(&*entered.room.id);
        body.extend(format!("}},\"room_id\":{room_id},\"state\":").into_bytes());
        write_state(app, caller, view, entered, &self.state, &mut body).await?;
        let visibility = if self.is_published {
            "public"
        } else {
            "private"
        };
        body.extend(format!(",\"visibility\":\"{visibility}\"}}").into_bytes());
        Ok(body)
    }
}

/// The caller's membership, as far as the response has a word for it: who never was in the room has
/// none, and who has knocked is not told so here.
fn membership(entered: &Entered) -> Option<&'static str> {
    let membership = entered.changes.last()?.membership;
    (membership != Membership::Knock).then(|| membership.as_str())
}
