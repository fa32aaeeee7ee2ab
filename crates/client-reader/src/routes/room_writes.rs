//! Writes to rooms: each becomes one command to the owner of the room's shard.

mod ban;
mod create_room;
mod forget;
mod invite;
mod join;
mod kick;
mod knock;
mod leave;
mod redact;
mod send;
mod state;
mod typing;
mod unban;
mod upgrade;

use bytes::Bytes;
use ganglion_event_rules::content::parse_object;
use ganglion_http_kit::Routes;
use ganglion_model::{CommandId, MatrixError};
use ganglion_proto::persister::SetMembership;
use ganglion_proto::persister::room_command::Command;
use ganglion_proto::persister::set_membership::Action;
use http::Method;
use ruma::{CanonicalJsonObject, CanonicalJsonValue, RoomId, UserId};

use crate::caller::Caller;
use crate::state::AppState;

pub(crate) use redact::redaction_id;
pub(crate) use send::sending_id;

pub(crate) fn routes(routes: &mut Routes<AppState>) {
    routes.ruma::<ruma::api::client::room::create_room::v3::Request, _, _>(create_room::post);
    routes.ruma::<ruma::api::client::membership::join_room_by_id::v3::Request, _, _>(join::by_id);
    routes.ruma::<ruma::api::client::membership::join_room_by_id_or_alias::v3::Request, _, _>(
        join::by_id_or_alias,
    );
    routes.ruma::<ruma::api::client::membership::invite_user::v3::Request, _, _>(invite::post);
    routes.ruma::<ruma::api::client::membership::leave_room::v3::Request, _, _>(leave::post);
    routes.ruma::<ruma::api::client::membership::kick_user::v3::Request, _, _>(kick::post);
    routes.ruma::<ruma::api::client::membership::ban_user::v3::Request, _, _>(ban::post);
    routes.ruma::<ruma::api::client::membership::unban_user::v3::Request, _, _>(unban::post);
    routes.ruma::<ruma::api::client::knock::knock_room::v3::Request, _, _>(knock::post);
    routes.ruma::<ruma::api::client::membership::forget_room::v3::Request, _, _>(forget::post);
    routes.ruma::<ruma::api::client::room::upgrade_room::v3::Request, _, _>(upgrade::post);
    routes.ruma::<ruma::api::client::message::send_message_event::v3::Request, _, _>(send::put);
    routes.ruma::<ruma::api::client::redact::redact_event::v3::Request, _, _>(redact::put);
    routes.ruma::<ruma::api::client::typing::create_typing_event::v3::Request, _, _>(typing::put);
    for version in ["r0", "v3"] {
        for path in [
            "state/{event_type}/{state_key}",
            "state/{event_type}",
            "state/{event_type}/",
        ] {
            let path = format!("/_matrix/client/{version}/rooms/{{room_id}}/{path}");
            routes.at(Method::PUT, &path, state::put);
        }
    }
}

/// A membership command of the caller on `target`.
async fn set_membership(
    app: &AppState,
    caller: &Caller,
    room_id: &RoomId,
    target: &UserId,
    action: Action,
    content: &CanonicalJsonObject,
) -> Result<(), MatrixError> {
    let command = SetMembership {
        action: action.into(),
        sender: caller.user_id.to_string(),
        target: target.to_string(),
        content: canonical(content)?,
        allowed_by_join_rule: false,
    };
    app.commands
        .room(
            room_id,
            CommandId::random(),
            Command::SetMembership(command),
        )
        .await?;
    Ok(())
}

/// The user's display name and avatar, as their member events carry them.
async fn profile_content(
    app: &AppState,
    caller: &Caller,
    user: &UserId,
) -> Result<CanonicalJsonObject, MatrixError> {
    let mut content = CanonicalJsonObject::new();
    if user.server_name() != app.server_name {
        return Ok(content);
    }
    for (field, value) in app.accounts.member_profile(&caller.barrier, user).await? {
        content.insert(field, CanonicalJsonValue::String(value));
    }
    Ok(content)
}

fn with_reason(mut content: CanonicalJsonObject, reason: Option<String>) -> CanonicalJsonObject {
    if let Some(reason) = reason {
        content.insert("reason".to_owned(), CanonicalJsonValue::String(reason));
    }
    content
}

/// The bytes of an object whose keys are sorted and whose numbers are integers.
fn canonical(object: &CanonicalJsonObject) -> Result<Bytes, MatrixError> {
    serde_json::to_vec(object)
        .map(Bytes::from)
        .map_err(|error| MatrixError::bad_json(error.to_string()))
}

/// A request's content, made canonical.
fn canonical_body(json: &str) -> Result<Bytes, MatrixError> {
    canonical(&parse_object(json.as_bytes()).map_err(MatrixError::from)?)
}

/// Users of other servers cannot be reached before federation is served.
fn must_be_local(app: &AppState, user: &UserId) -> Result<(), MatrixError> {
    if user.server_name() == app.server_name {
        return Ok(());
    }
    Err(MatrixError::forbidden(
        "this server does not speak to other servers yet",
    ))
}
