//! `POST /_matrix/client/v3/rooms/{roomId}/upgrade`

mod content;

use axum::extract::State;
use ganglion_accounts::storage_error;
use ganglion_event_rules::RoomVersion;
use ganglion_http_kit::{ApiError, Ruma, RumaBody};
use ganglion_model::{CommandId, MatrixError, Membership, Position};
use ganglion_proto::persister::room_command::Command;
use ganglion_proto::persister::{
    BuildCreateRequest, CreateRoom, FinishUpgrade, PrepareUpgrade, StateContent,
};
use ganglion_rooms::{RoomInfo, StateAt, View};
use ganglion_storage::{StorageError, directory, state};
use ruma::api::client::room::upgrade_room::v3::{Request, Response};
use ruma::{OwnedRoomId, RoomId};
use serde_json::Value;

use self::content::{Old, ban_content, create_content, first_events, tombstone_content};
use super::{canonical, profile_content};
use crate::caller::Caller;
use crate::state::AppState;

/// Bans that go over to the new room; each is an event of its first batch.
const MOST_BANS: i64 = 500;

/// Replaces a room by one of another version.
///
/// Two batches: the new room as a whole, then, in the old one, the tombstone and all that belongs to
/// it. Every step has an id and a content that follow from the first one's answer, which the old
/// room's owner keeps: who repeats a request that broke off, within the time that answers are kept,
/// goes on with the same new room. What can be left behind is a new room that only the caller knows.
pub(crate) async fn post(
    State(app): State<AppState>,
    caller: Caller,
    Ruma(request): Ruma<Request>,
) -> Result<RumaBody<Response>, ApiError> {
    let version = RoomVersion::parse(request.new_version.as_str()).ok_or_else(|| {
        MatrixError::new(
            400,
            "M_UNSUPPORTED_ROOM_VERSION",
            "this server does not support the room version",
        )
    })?;
    let mut view = caller.view(&app);
    let old = load(&app, &caller, &mut view, &request.room_id).await?;
    if let Some(done) = finished(&app, &caller, &mut view, &old, version).await? {
        return Ok(RumaBody(Response::new(done)));
    }
    let aliases = aliases(&mut view, &old.room).await?;
    let bans = bans(&app, &mut view, &old).await.map_err(storage_error)?;
    drop(view);
    let last = prepare(&app, &caller, &request, &old).await?;
    let built = app
        .commands
        .build_create(BuildCreateRequest {
            creator: caller.user_id.to_string(),
            room_version: version.as_str().to_owned(),
            content: canonical(&create_content(&old, &request, version, &last.event_id)?)?,
            room_id: (!version.room_id_is_create_hash()).then(|| last.room_id(&app)),
            origin_server_ts: Some(last.at_ms),
        })
        .await?;
    let new_room = RoomId::parse(&built.room_id).map_err(|_invalid| MatrixError::internal())?;
    let mut events = first_events(
        &old,
        &caller.user_id,
        version,
        (&aliases, &request.additional_creators),
    )?;
    // Before the power levels, which may not let the caller ban.
    let levels = events.pop_if(|event| event.r#type == "m.room.power_levels");
    // Nobody bans a creator.
    let creators = &request.additional_creators;
    events.extend(bans.into_iter().filter(|ban| {
        !version.privileges_creators() || creators.iter().all(|user| *user != ban.state_key)
    }));
    events.extend(levels);
    let profile = profile_content(&app, &caller, &caller.user_id).await?;
    let create = CreateRoom {
        creator: caller.user_id.to_string(),
        room_version: version.as_str().to_owned(),
        create_pdu: built.pdu,
        creator_member: canonical(&profile)?,
        events,
        alias: None,
        public: false,
    };
    let id = CommandId::of(&["upgrade: create", new_room.as_str()]);
    app.commands
        .room(&new_room, id, Command::CreateRoom(create))
        .await?;
    let finish = FinishUpgrade {
        sender: caller.user_id.to_string(),
        replacement_room: new_room.to_string(),
        tombstone: canonical(&tombstone_content(&new_room))?,
    };
    let id = CommandId::of(&["upgrade: finish", new_room.as_str()]);
    app.commands
        .room(&request.room_id, id, Command::FinishUpgrade(finish))
        .await?;
    Ok(RumaBody(Response::new(new_room)))
}

/// The old room's state as far as it matters; only for who is in the room.
async fn load(
    app: &AppState,
    caller: &Caller,
    view: &mut View,
    room_id: &RoomId,
) -> Result<Old, MatrixError> {
    let entered = app
        .rooms
        .enter(view, room_id.as_str(), caller.viewer(app))
        .await;
    let entered = entered
        .map_err(storage_error)?
        .filter(|entered| entered.is_joined())
        .ok_or_else(|| MatrixError::forbidden("you are not in this room"))?;
    let room = entered.room;
    let read = async {
        let now = app.rooms.state_at(view, &room, Position::MAX).await?;
        let keys = Old::TYPES.map(|event_type| (event_type.to_owned(), String::new()));
        let found = app.rooms.state_at_keys(view, &room, &now, keys).await?;
        Ok::<_, StorageError>((now, found))
    };
    let (now, found) = read.await.map_err(storage_error)?;
    let state = found.into_iter().map(|((name, _), event)| (name, event));
    Ok(Old {
        room,
        now,
        state: state.collect(),
    })
}

/// The new room, if the caller has upgraded this one to that version before: the request is
/// repeated.
async fn finished(
    app: &AppState,
    caller: &Caller,
    view: &mut View,
    old: &Old,
    version: RoomVersion,
) -> Result<Option<OwnedRoomId>, MatrixError> {
    let tombstone = old.state.get("m.room.tombstone");
    let Some(tombstone) = tombstone.filter(|event| event.sender == caller.user_id.as_str()) else {
        return Ok(None);
    };
    let content: Value = serde_json::from_slice(&tombstone.content).unwrap_or_default();
    let named = content.get("replacement_room").and_then(Value::as_str);
    let Some(new_room) = named.and_then(|id| RoomId::parse(id).ok()) else {
        return Ok(None);
    };
    let found = app.rooms.find(view, new_room.as_str()).await;
    let Some(found) = found.map_err(storage_error)? else {
        return Ok(None);
    };
    let create = app.rooms.content_now(view, &found, "m.room.create").await;
    let create = create.map_err(storage_error)?;
    let predecessor = create.get("predecessor").and_then(|p| p.get("room_id"));
    let is_it = found.version == version
        && predecessor.and_then(Value::as_str) == Some(old.room.id.as_ref());
    Ok(is_it.then_some(new_room))
}

async fn aliases(view: &mut View, room: &RoomInfo) -> Result<Vec<String>, MatrixError> {
    let snapshot = view.snapshot().await.map_err(storage_error)?;
    directory::aliases(snapshot, room.nid)
        .await
        .map_err(storage_error)
}

/// The bans of the old room, as events of the new one.
async fn bans(
    app: &AppState,
    view: &mut View,
    old: &Old,
) -> Result<Vec<StateContent>, StorageError> {
    let room = &old.room;
    let snapshot = view.snapshot().await?;
    let limit = ("", MOST_BANS);
    let banned = [Membership::Ban];
    let users = state::first_members(snapshot, room.shard, room.nid, &banned, limit).await?;
    if i64::try_from(users.len()) == Ok(MOST_BANS) {
        tracing::warn!(room.id = %room.id, "a room with more bans than are copied is upgraded");
    }
    let keys = users
        .into_iter()
        .map(|user| ("m.room.member".to_owned(), user));
    let now: &StateAt = &old.now;
    let members = app.rooms.state_at_keys(view, room, now, keys).await?;
    let mut bans: Vec<StateContent> = members
        .into_iter()
        .filter(|(_, event)| event.membership == Some(Membership::Ban))
        .filter_map(|((_, user), event)| {
            Some(StateContent {
                r#type: "m.room.member".to_owned(),
                state_key: user,
                content: canonical(&ban_content(&event.content)).ok()?,
            })
        })
        .collect();
    bans.sort_by(|a, b| a.state_key.cmp(&b.state_key));
    Ok(bans)
}

/// What the old room's owner has fixed for this upgrade.
struct Prepared {
    /// The last event of the old room.
    event_id: String,
    at_ms: i64,
    id: CommandId,
}

impl Prepared {
    /// The new room's id, where a room version lets it be chosen: nobody can guess the time, and
    /// nothing depends on its being secret.
    fn room_id(&self, app: &AppState) -> String {
        let id = CommandId::of(&[
            "upgrade: room",
            &format!("{:?}", self.id),
            &self.at_ms.to_string(),
            &self.event_id,
        ]);
        format!("!{id:?}:{}", app.server_name)
    }
}

async fn prepare(
    app: &AppState,
    caller: &Caller,
    request: &Request,
    old: &Old,
) -> Result<Prepared, MatrixError> {
    let tombstone = old.state.get("m.room.tombstone");
    let creators: Vec<&str> = request
        .additional_creators
        .iter()
        .map(|user| user.as_str())
        .collect();
    let creators = creators.join(" ");
    let id = CommandId::of(&[
        "upgrade: prepare",
        caller.user_id.as_str(),
        request.room_id.as_str(),
        request.new_version.as_str(),
        &creators,
        tombstone.map_or("", |event| event.event_id.as_str()),
    ]);
    let command = Command::PrepareUpgrade(PrepareUpgrade {
        sender: caller.user_id.to_string(),
    });
    let done = app.commands.room(&request.room_id, id, command).await?;
    Ok(Prepared {
        event_id: done.event_id.ok_or_else(MatrixError::internal)?.to_string(),
        at_ms: done
            .value
            .parse()
            .map_err(|_not_a_number| MatrixError::internal())?,
        id,
    })
}
