//! `GET /_matrix/client/v3/publicRooms` and `POST /_matrix/client/v3/publicRooms`

use axum::extract::State;
use ganglion_accounts::storage_error;
use ganglion_http_kit::{ApiError, JsonBytes, Ruma};
use ganglion_model::{MatrixError, RoomNid};
use ganglion_rooms::{RoomInfo, Summary, View};
use ganglion_storage::directory::{self, PublishedRoom};
use ruma::UInt;
use ruma::api::client::directory::{get_public_rooms, get_public_rooms_filtered};
use ruma::directory::{Filter, RoomNetwork, RoomTypeFilter};
use serde_json::{Map, Value};

use crate::caller::Caller;
use crate::state::AppState;

/// Rooms of one answer, asked for or not.
const MOST: usize = 100;
/// Rooms that one request looks at; a search goes on with the answer's token.
const MOST_EXAMINED: usize = 1_000;
/// The estimate of the number of rooms counts so far.
const MOST_COUNTED: i64 = 10_000;

/// A page of the directory; anybody may read it.
pub(crate) async fn get(
    State(app): State<AppState>,
    Ruma(request): Ruma<get_public_rooms::v3::Request>,
) -> Result<JsonBytes, ApiError> {
    only_here(&app, request.server.as_deref())?;
    let asked = Asked::new(request.limit, request.since.as_deref(), Filter::new())?;
    let mut view = View::new(&app.db, None);
    page(&app, &mut view, &asked).await
}

/// A page of the rooms that match a filter.
pub(crate) async fn post(
    State(app): State<AppState>,
    caller: Caller,
    Ruma(request): Ruma<get_public_rooms_filtered::v3::Request>,
) -> Result<JsonBytes, ApiError> {
    only_here(&app, request.server.as_deref())?;
    let asked = Asked::new(request.limit, request.since.as_deref(), request.filter)?;
    match request.room_network {
        RoomNetwork::Matrix | RoomNetwork::All => {}
        // No application service has brought a network.
        _ => return Ok(write(Map::new(), Vec::new())),
    }
    let mut view = caller.view(&app);
    page(&app, &mut view, &asked).await
}

fn only_here(app: &AppState, server: Option<&ruma::ServerName>) -> Result<(), MatrixError> {
    if server.is_none_or(|server| server == app.server_name) {
        return Ok(());
    }
    Err(MatrixError::forbidden(
        "this server does not speak to other servers yet",
    ))
}

/// A place between two rooms of the directory, which goes from the newest room to the oldest, and
/// in which direction to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Since {
    OlderThan(RoomNid),
    NewerThan(RoomNid),
}

impl Since {
    fn parse(token: &str) -> Option<Self> {
        let (direction, number) = token.split_at_checked(1)?;
        let room = RoomNid(number.parse().ok()?);
        match direction {
            "o" => Some(Self::OlderThan(room)),
            "n" => Some(Self::NewerThan(room)),
            _ => None,
        }
    }

    fn token(self) -> String {
        match self {
            Self::OlderThan(room) => format!("o{}", room.0),
            Self::NewerThan(room) => format!("n{}", room.0),
        }
    }
}

struct Asked {
    limit: usize,
    since: Since,
    /// In lower case.
    term: Option<String>,
    types: Vec<RoomTypeFilter>,
}

impl Asked {
    fn new(limit: Option<UInt>, since: Option<&str>, filter: Filter) -> Result<Self, MatrixError> {
        let limit = limit.map_or(MOST, |limit| usize::try_from(limit).unwrap_or(MOST));
        let bad = || MatrixError::invalid_param("`since` is not a token of this directory");
        let since = match since {
            Some(token) => Since::parse(token).ok_or_else(bad)?,
            None => Since::OlderThan(RoomNid(i64::MAX)),
        };
        let term = filter.generic_search_term.map(|term| term.to_lowercase());
        Ok(Self {
            limit: limit.clamp(1, MOST),
            since,
            term: term.filter(|term| !term.is_empty()),
            types: filter.room_types,
        })
    }

    fn is_filtered(&self) -> bool {
        self.term.is_some() || !self.types.is_empty()
    }

    fn accepts(&self, summary: &Summary) -> bool {
        let by_term = self.term.as_ref();
        let by_type = |wanted: &RoomTypeFilter| wanted.as_str() == summary.room_type.as_deref();
        by_term.is_none_or(|term| summary.contains(term))
            && (self.types.is_empty() || self.types.iter().any(by_type))
    }
}

async fn page(app: &AppState, view: &mut View, asked: &Asked) -> Result<JsonBytes, ApiError> {
    let mut found: Vec<Summary> = Vec::new();
    // The last room looked at.
    let mut place = asked.since;
    let mut examined = 0;
    let mut more = true;
    while more && found.len() < asked.limit && examined < MOST_EXAMINED {
        let rooms = next(view, place).await?;
        more = rooms.len() > MOST;
        for summary in summaries(app, view, rooms).await? {
            if found.len() == asked.limit {
                more = true;
                break;
            }
            examined += 1;
            let room = summary.room.nid;
            place = match place {
                Since::OlderThan(_) => Since::OlderThan(room),
                Since::NewerThan(_) => Since::NewerThan(room),
            };
            if asked.accepts(&summary) {
                found.push(summary);
            }
        }
    }
    let mut body = Map::new();
    let mut token = |name: &str, since: Since| {
        body.insert(name.to_owned(), Value::from(since.token()));
    };
    // What was read ends at `place`; it began at `asked.since`, whose own room is on the other side.
    match (asked.since, place) {
        (Since::OlderThan(from), Since::OlderThan(to) | Since::NewerThan(to)) => {
            if more {
                token("next_batch", Since::OlderThan(to));
            }
            if !is_last(view, Since::NewerThan(RoomNid(from.0.saturating_sub(1)))).await? {
                token(
                    "prev_batch",
                    Since::NewerThan(RoomNid(from.0.saturating_sub(1))),
                );
            }
        }
        (Since::NewerThan(from), Since::OlderThan(to) | Since::NewerThan(to)) => {
            found.reverse();
            if more {
                token("prev_batch", Since::NewerThan(to));
            }
            if !is_last(view, Since::OlderThan(RoomNid(from.0.saturating_add(1)))).await? {
                token(
                    "next_batch",
                    Since::OlderThan(RoomNid(from.0.saturating_add(1))),
                );
            }
        }
    }
    if !asked.is_filtered() {
        let snapshot = view.snapshot().await.map_err(storage_error)?;
        let count = directory::count(snapshot, MOST_COUNTED).await;
        let count = Value::from(count.map_err(storage_error)?);
        body.insert("total_room_count_estimate".to_owned(), count);
    }
    Ok(write(body, found))
}

/// The next rooms, one more than are looked at in one go.
async fn next(view: &mut View, place: Since) -> Result<Vec<PublishedRoom>, MatrixError> {
    let limit = i64::try_from(MOST + 1).unwrap_or(i64::MAX);
    read(view, place, limit).await
}

async fn is_last(view: &mut View, place: Since) -> Result<bool, MatrixError> {
    Ok(read(view, place, 1).await?.is_empty())
}

async fn read(
    view: &mut View,
    place: Since,
    limit: i64,
) -> Result<Vec<PublishedRoom>, MatrixError> {
    let snapshot = view.snapshot().await.map_err(storage_error)?;
    let rooms = match place {
        Since::OlderThan(room) => directory::older(snapshot, room, limit).await,
        Since::NewerThan(room) => directory::newer(snapshot, room, limit).await,
    };
    rooms.map_err(storage_error)
}

async fn summaries(
    app: &AppState,
    view: &mut View,
    rooms: Vec<PublishedRoom>,
) -> Result<Vec<Summary>, MatrixError> {
    let infos = rooms
        .into_iter()
        .take(MOST)
        .map(|room| RoomInfo::new(room.room_nid, &room.room_id, room.shard, &room.version))
        .collect::<Result<Vec<_>, _>>()
        .map_err(storage_error)?;
    let summaries = app.rooms.summaries(view, infos).await;
    summaries.map_err(storage_error)
}

fn write(mut body: Map<String, Value>, found: Vec<Summary>) -> JsonBytes {
    let chunk = found.iter().map(|room| Value::Object(room.to_chunk()));
    body.insert("chunk".to_owned(), Value::Array(chunk.collect()));
    JsonBytes(Value::Object(body).to_string().into_bytes())
}
