//! `POST /_matrix/client/v3/rooms/{roomId}/invite`

use axum::extract::State;
use ganglion_http_kit::{ApiError, Ruma, RumaBody};
use ganglion_model::MatrixError;
use ganglion_proto::persister::set_membership::Action;
use ruma::api::client::membership::invite_user::v3::{InvitationRecipient, Request, Response};

use super::{must_be_local, profile_content, set_membership, with_reason};
use crate::caller::Caller;
use crate::state::AppState;

/// Invites a user of this server.
pub(crate) async fn post(
    State(app): State<AppState>,
    caller: Caller,
    Ruma(request): Ruma<Request>,
) -> Result<RumaBody<Response>, ApiError> {
    let InvitationRecipient::UserId(invite) = request.recipient else {
        let message = "this server has no identity server to invite by third-party identifiers";
        return Err(MatrixError::new(403, "M_THREEPID_DENIED", message).into());
    };
    must_be_local(&app, &invite.user_id)?;
    let profile = profile_content(&app, &caller, &invite.user_id).await?;
    let content = with_reason(profile, invite.reason);
    set_membership(
        &app,
        &caller,
        &request.room_id,
        &invite.user_id,
        Action::Invite,
        &content,
    )
    .await?;
    Ok(RumaBody(Response::new()))
}
