//! `POST /_matrix/client/v3/createRoom`

mod content;

use axum::extract::State;
use ganglion_event_rules::{RoomVersion, content::parse_object};
use ganglion_http_kit::{ApiError, Ruma, RumaBody};
use ganglion_model::{CommandId, MatrixError};
use ganglion_proto::persister::room_command::Command;
use ganglion_proto::persister::{BuildCreateRequest, CreateRoom, StateContent};
use ruma::api::client::room::Visibility;
use ruma::api::client::room::create_room::v3::{Request, Response, RoomPreset};
use ruma::{CanonicalJsonObject, RoomAliasId, RoomId};

use self::content::{
    alias_content, creation_content, initial_state, invite_content, member_content, power_levels,
    preset_state, topic_content,
};
use crate::caller::Caller;
use crate::limits::by_membership;
use crate::state::AppState;

/// Invites in one request; each is an event of the room's first batch.
const MAX_INVITES: usize = 100;
/// Events of `initial_state`.
const MAX_INITIAL_STATE: usize = 200;

/// Creates a room with everything the request implies, in the order the spec names, all or nothing.
pub(crate) async fn post(
    State(app): State<AppState>,
    caller: Caller,
    Ruma(request): Ruma<Request>,
) -> Result<RumaBody<Response>, ApiError> {
    check_size(&request)?;
    let version = room_version(&app, &request)?;
    let preset = preset(&request)?;
    let alias = alias(&app, &request)?;
    let events = first_events(&app, &caller, &request, &preset, version).await?;
    let members = events.iter().filter(|e| e.r#type == "m.room.member");
    by_membership(&app, &caller, None, members.map(|e| e.content.as_ref()))?;
    let built = app
        .commands
        .build_create(BuildCreateRequest {
            creator: caller.user_id.to_string(),
            room_version: version.as_str().to_owned(),
            content: to_bytes(&creation_content(&request, &preset, version)?)?,
            room_id: (!version.room_id_is_create_hash())
                .then(|| RoomId::new_v1(&app.server_name).to_string()),
            origin_server_ts: None,
        })
        .await?;
    let room_id = RoomId::parse(&built.room_id).map_err(|_invalid| MatrixError::internal())?;
    let command = CreateRoom {
        creator: caller.user_id.to_string(),
        room_version: version.as_str().to_owned(),
        create_pdu: built.pdu,
        creator_member: to_bytes(&member_content(&app, &caller, &caller.user_id).await?)?,
        events,
        alias: alias.map(|alias| alias.to_string()),
        public: request.visibility == Visibility::Public,
    };
    app.commands
        .room(&room_id, CommandId::random(), Command::CreateRoom(command))
        .await?;
    Ok(RumaBody(Response::new(room_id)))
}

fn check_size(request: &Request) -> Result<(), MatrixError> {
    if request.invite.len() > MAX_INVITES || request.initial_state.len() > MAX_INITIAL_STATE {
        return Err(MatrixError::too_large(
            "too many invites or events of initial state",
        ));
    }
    if !request.invite_3pid.is_empty() {
        return Err(MatrixError::new(
            403,
            "M_THREEPID_DENIED",
            "this server has no identity server to invite by third-party identifiers",
        ));
    }
    Ok(())
}

fn room_version(app: &AppState, request: &Request) -> Result<RoomVersion, MatrixError> {
    let name = request
        .room_version
        .as_ref()
        .map_or(app.config.rooms.default_version.as_str(), |version| {
            version.as_str()
        });
    RoomVersion::parse(name).ok_or_else(|| {
        MatrixError::new(
            400,
            "M_UNSUPPORTED_ROOM_VERSION",
            "this server does not support the room version",
        )
    })
}

/// The named preset, or the one that the visibility implies.
fn preset(request: &Request) -> Result<RoomPreset, MatrixError> {
    let implied = match request.visibility {
        Visibility::Public => RoomPreset::PublicChat,
        Visibility::Private => RoomPreset::PrivateChat,
        _ => {
            return Err(MatrixError::bad_json(
                "`visibility` is \"public\" or \"private\"",
            ));
        }
    };
    match &request.preset {
        None => Ok(implied),
        Some(
            known @ (RoomPreset::PrivateChat
            | RoomPreset::PublicChat
            | RoomPreset::TrustedPrivateChat),
        ) => Ok(known.clone()),
        Some(_) => Err(MatrixError::bad_json("there is no such preset")),
    }
}

fn alias(app: &AppState, request: &Request) -> Result<Option<ruma::OwnedRoomAliasId>, MatrixError> {
    let Some(name) = &request.room_alias_name else {
        return Ok(None);
    };
    if name.is_empty() || name.contains([':', '#', '\0']) || name.contains(char::is_whitespace) {
        return Err(MatrixError::invalid_param(
            "room_alias_name is no local part of an alias",
        ));
    }
    RoomAliasId::parse(format!("#{name}:{}", app.server_name))
        .map(Some)
        .map_err(|_invalid| MatrixError::invalid_param("room_alias_name is no local part"))
}

/// The events after the creator's join, in the spec's order; a later source of the same state wins.
async fn first_events(
    app: &AppState,
    caller: &Caller,
    request: &Request,
    preset: &RoomPreset,
    version: RoomVersion,
) -> Result<Vec<StateContent>, MatrixError> {
    let mut events = vec![(
        "m.room.power_levels",
        power_levels(caller, request, preset, version)?,
    )];
    if let Some(alias) = alias(app, request)? {
        events.push(("m.room.canonical_alias", alias_content(&alias)));
    }
    let given = initial_state(request)?;
    let implied = [
        (
            "m.room.name",
            request
                .name
                .as_deref()
                .filter(|n| !n.is_empty())
                .map(content::name_content),
        ),
        (
            "m.room.topic",
            request
                .topic
                .as_deref()
                .filter(|t| !t.is_empty())
                .map(topic_content),
        ),
    ];
    let is_given = |event_type: &str| {
        given
            .iter()
            .any(|event| event.r#type == event_type && event.state_key.is_empty())
    };
    let presets = preset_state(preset)
        .into_iter()
        .filter(|(event_type, _)| !is_given(event_type));
    events.extend(presets);
    let mut all = Vec::new();
    for (event_type, content) in events {
        all.push(state(event_type, "", &content)?);
    }
    let is_implied = |event: &StateContent| {
        event.state_key.is_empty()
            && implied
                .iter()
                .any(|(name, content)| *name == event.r#type && content.is_some())
    };
    all.extend(given.iter().filter(|event| !is_implied(event)).cloned());
    for (event_type, content) in implied {
        if let Some(content) = content {
            all.push(state(event_type, "", &content)?);
        }
    }
    for invitee in &request.invite {
        super::must_be_local(app, invitee)?;
        let content = invite_content(app, caller, invitee, request.is_direct).await?;
        all.push(state("m.room.member", invitee.as_str(), &content)?);
    }
    Ok(all)
}

fn state(
    event_type: &str,
    state_key: &str,
    content: &CanonicalJsonObject,
) -> Result<StateContent, MatrixError> {
    Ok(StateContent {
        r#type: event_type.to_owned(),
        state_key: state_key.to_owned(),
        content: to_bytes(content)?,
    })
}

fn to_bytes(object: &CanonicalJsonObject) -> Result<bytes::Bytes, MatrixError> {
    super::canonical(object)
}

/// A raw JSON object of the request, made canonical.
fn raw_object<T>(raw: &ruma::serde::Raw<T>) -> Result<CanonicalJsonObject, MatrixError> {
    parse_object(raw.json().get().as_bytes()).map_err(MatrixError::from)
}
