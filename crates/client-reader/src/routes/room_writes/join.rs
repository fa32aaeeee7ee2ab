//! `POST /_matrix/client/v3/rooms/{roomId}/join` and `POST /_matrix/client/v3/join/{roomIdOrAlias}`

use axum::extract::State;
use ganglion_accounts::storage_error;
use ganglion_http_kit::{ApiError, Ruma, RumaBody};
use ganglion_model::{CommandId, MatrixError};
use ganglion_proto::persister::SetMembership;
use ganglion_proto::persister::room_command::Command;
use ganglion_proto::persister::set_membership::Action;
use ruma::RoomId;
use ruma::api::client::membership::{join_room_by_id, join_room_by_id_or_alias};

use super::{canonical, profile_content, with_reason};
use crate::caller::Caller;
use crate::routes::aliases::resolve;
use crate::state::AppState;

/// Joins a room by its id.
pub(crate) async fn by_id(
    State(app): State<AppState>,
    caller: Caller,
    Ruma(request): Ruma<join_room_by_id::v3::Request>,
) -> Result<RumaBody<join_room_by_id::v3::Response>, ApiError> {
    refuse_third_party(request.third_party_signed.is_some())?;
    join(&app, &caller, &request.room_id, request.reason).await?;
    Ok(RumaBody(join_room_by_id::v3::Response::new(
        request.room_id,
    )))
}

/// Joins a room by its id or an alias of this server.
pub(crate) async fn by_id_or_alias(
    State(app): State<AppState>,
    caller: Caller,
    Ruma(request): Ruma<join_room_by_id_or_alias::v3::Request>,
) -> Result<RumaBody<join_room_by_id_or_alias::v3::Response>, ApiError> {
    refuse_third_party(request.third_party_signed.is_some())?;
    let room_id = resolve(&app, &mut caller.view(&app), request.room_id_or_alias).await?;
    join(&app, &caller, &room_id, request.reason).await?;
    Ok(RumaBody(join_room_by_id_or_alias::v3::Response::new(
        room_id,
    )))
}

async fn join(
    app: &AppState,
    caller: &Caller,
    room_id: &RoomId,
    reason: Option<String>,
) -> Result<(), MatrixError> {
    let content = with_reason(profile_content(app, caller, &caller.user_id).await?, reason);
    let command = SetMembership {
        action: Action::Join.into(),
        sender: caller.user_id.to_string(),
        target: caller.user_id.to_string(),
        content: canonical(&content)?,
        allowed_by_join_rule: app
            .rooms
            .join_rule_allows(&mut caller.view(app), room_id, caller.user_nid)
            .await
            .map_err(storage_error)?,
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

/// Third-party invites are made by identity servers, which this server has none of.
fn refuse_third_party(given: bool) -> Result<(), MatrixError> {
    if given {
        return Err(MatrixError::forbidden(
            "no third-party invite of this room is known",
        ));
    }
    Ok(())
}
