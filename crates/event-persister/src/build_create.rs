//! Create events, which any instance builds and signs: in room version 12 their hash is the room id,
//! so that no shard's owner can be asked before.

use ganglion_event_rules::build::{self, Draft};
use ganglion_event_rules::{RoomVersion, content};
use ganglion_model::MatrixError;
use ganglion_proto::persister::{BuildCreateRequest, BuiltCreate};
use ruma::{CanonicalJsonValue, RoomId, UserId};

use crate::shared::Shared;

/// Builds and signs a create event.
///
/// # Errors
/// What the client is told if the request cannot be a create event.
pub(crate) fn build_create(
    shared: &Shared,
    request: &BuildCreateRequest,
) -> Result<BuiltCreate, MatrixError> {
    let version = RoomVersion::parse(&request.room_version).ok_or_else(|| {
        MatrixError::new(
            400,
            "M_UNSUPPORTED_ROOM_VERSION",
            "this room version is not known",
        )
    })?;
    let creator = UserId::parse(&request.creator)
        .map_err(|_invalid| MatrixError::invalid_param("not a user id"))?;
    let mut content = content::parse_object(&request.content).map_err(MatrixError::from)?;
    let text = |value: &str| CanonicalJsonValue::String(value.to_owned());
    content.insert("room_version".to_owned(), text(version.as_str()));
    if version.names_creator_in_content() {
        content.insert("creator".to_owned(), text(creator.as_str()));
    } else {
        content.remove("creator");
    }
    let room_id = match (&request.room_id, version.room_id_is_create_hash()) {
        (Some(id), false) => Some(
            RoomId::parse(id).map_err(|_invalid| MatrixError::invalid_param("not a room id"))?,
        ),
        (None, true) => None,
        _ => {
            return Err(MatrixError::invalid_param(
                "a room id goes with room versions below 12",
            ));
        }
    };
    let draft = Draft {
        room_id,
        sender: creator,
        event_type: "m.room.create".to_owned(),
        state_key: Some(String::new()),
        content,
        prev_events: Vec::new(),
        auth_events: Vec::new(),
        depth: 1,
        origin_server_ts: request
            .origin_server_ts
            .unwrap_or_else(|| shared.clock.now_ms()),
        redacts: None,
    };
    let bad = |error: ganglion_event_rules::FormatError| MatrixError::bad_json(error.to_string());
    let mut hashed = build::hash(draft, version).map_err(bad)?;
    build::sign(
        &mut hashed.object,
        &shared.server_name,
        &shared.signing_key,
        version,
    )
    .map_err(bad)?;
    Ok(BuiltCreate {
        room_id: hashed.pdu.room_id.to_string(),
        pdu: serde_json::to_vec(&hashed.object)
            .map_err(|error| MatrixError::bad_json(error.to_string()))?
            .into(),
    })
}
