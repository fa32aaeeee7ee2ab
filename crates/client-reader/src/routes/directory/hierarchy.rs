//! `GET /_matrix/client/v1/rooms/{roomId}/hierarchy`

use axum::extract::State;
use ganglion_accounts::storage_error;
use ganglion_http_kit::{ApiError, JsonBytes, Ruma};
use ganglion_model::MatrixError;
use ganglion_rooms::hierarchy::{MOST_DEPTH, Tree};
use ganglion_rooms::space::{Child, SpaceRoom};
use ganglion_rooms::{Summary, View};
use ruma::UInt;
use ruma::api::client::space::get_hierarchy::v1::Request;
use serde_json::{Value, json};

use crate::caller::Caller;
use crate::state::AppState;

/// Rooms of one answer, asked for or not.
const MOST: usize = 50;

/// A page of the rooms of a space and of the spaces in it, depth first, as far as the caller could
/// join or read them. A room that is not known here is left out.
pub(crate) async fn get(
    State(app): State<AppState>,
    caller: Caller,
    Ruma(request): Ruma<Request>,
) -> Result<JsonBytes, ApiError> {
    let asked = Asked::new(&request)?;
    let mut view = caller.view(&app);
    let tree = Tree {
        root: request.room_id.as_str(),
        user: &caller.user_id,
        max_depth: asked.max_depth,
        suggested_only: asked.suggested_only,
    };
    let rooms = app.rooms.space_tree(&mut view, tree).await;
    let rooms = rooms.map_err(storage_error)?;
    let root = rooms
        .first()
        .ok_or_else(|| MatrixError::forbidden("you may not view this room"))?;
    let start = match request.from.as_deref() {
        Some(token) => asked.start(token, root, &rooms)?,
        None => 0,
    };
    let page: Vec<&SpaceRoom> = rooms.iter().skip(start).take(asked.limit).collect();
    let mut body = json!({"rooms": write(&app, &mut view, &page).await?});
    let end = start + page.len();
    if let Some(last) = page.last().filter(|_| end < rooms.len()) {
        let place = Place { end, last };
        let token = Value::from(asked.token(root, &place));
        if let Some(body) = body.as_object_mut() {
            body.insert("next_batch".to_owned(), token);
        }
    }
    Ok(JsonBytes(body.to_string().into_bytes()))
}

struct Asked {
    limit: usize,
    max_depth: usize,
    suggested_only: bool,
}

/// Where a page ends: behind how many rooms, and behind which.
struct Place<'a> {
    end: usize,
    last: &'a SpaceRoom,
}

impl Asked {
    fn new(request: &Request) -> Result<Self, MatrixError> {
        let number = |number: Option<UInt>, most: usize| {
            number.map_or(most, |asked| {
                usize::try_from(asked).unwrap_or(most).min(most)
            })
        };
        let limit = number(request.limit, MOST);
        if limit == 0 {
            return Err(MatrixError::invalid_param("`limit` is greater than zero"));
        }
        Ok(Self {
            limit,
            max_depth: number(request.max_depth, MOST_DEPTH),
            suggested_only: request.suggested_only,
        })
    }

    /// `h<root>_<max_depth>_<suggested_only>_<end>_<last>`: nothing is kept for it, any instance walks
    /// the tree again.
    fn token(&self, root: &SpaceRoom, place: &Place<'_>) -> String {
        let Place { end, last } = place;
        format!("{}{end}_{}", self.bound_to(root), last.info.nid.0)
    }

    /// What of a token follows from the request.
    fn bound_to(&self, root: &SpaceRoom) -> String {
        let suggested = u8::from(self.suggested_only);
        format!("h{}_{}_{suggested}_", root.info.nid.0, self.max_depth)
    }

    /// Where the page after a token begins.
    fn start(
        &self,
        token: &str,
        root: &SpaceRoom,
        rooms: &[SpaceRoom],
    ) -> Result<usize, MatrixError> {
        let bound = token.strip_prefix(&self.bound_to(root)).ok_or_else(|| {
            MatrixError::invalid_param(
                "`from` is not a token of this room, or `suggested_only` or `max_depth` have changed",
            )
        })?;
        let parse = || {
            let (end, last) = bound.split_once('_')?;
            Some((end.parse::<usize>().ok()?, last.parse::<i64>().ok()?))
        };
        let (end, last) =
            parse().ok_or_else(|| MatrixError::invalid_param("`from` is not a token"))?;
        // The tree may have changed since; a room that has left it was somewhere before `end`.
        let place = rooms.iter().position(|room| room.info.nid.0 == last);
        Ok(place.map_or(end, |place| place + 1))
    }
}

async fn write(
    app: &AppState,
    view: &mut View,
    page: &[&SpaceRoom],
) -> Result<Vec<Value>, MatrixError> {
    let infos = page.iter().map(|room| room.info.clone()).collect();
    let summaries = app.rooms.summaries(view, infos).await;
    let summaries = summaries.map_err(storage_error)?;
    Ok(page
        .iter()
        .zip(&summaries)
        .map(|(room, summary)| chunk(room, summary))
        .collect())
}

fn chunk(room: &SpaceRoom, summary: &Summary) -> Value {
    let mut chunk = summary.to_summary();
    let children = room.children.iter().map(stripped).collect();
    chunk.insert("children_state".to_owned(), Value::Array(children));
    Value::Object(chunk)
}

/// As stripped state, with its time.
fn stripped(child: &Child) -> Value {
    json!({
        "type": "m.space.child",
        "state_key": child.room_id,
        "sender": child.sender,
        "origin_server_ts": child.origin_server_ts,
        "content": child.content,
    })
}
