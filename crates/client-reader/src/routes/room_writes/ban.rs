//! `POST /_matrix/client/v3/rooms/{roomId}/ban`

use axum::extract::State;
use ganglion_http_kit::{ApiError, Ruma, RumaBody};
use ganglion_proto::persister::set_membership::Action;
use ruma::CanonicalJsonObject;
use ruma::api::client::membership::ban_user::v3::{Request, Response};

use super::{set_membership, with_reason};
use crate::caller::Caller;
use crate::state::AppState;

/// Bans a user, in the room or not.
pub(crate) async fn post(
    State(app): State<AppState>,
    caller: Caller,
    Ruma(request): Ruma<Request>,
) -> Result<RumaBody<Response>, ApiError> {
    let content = with_reason(CanonicalJsonObject::new(), request.reason);
    set_membership(
        &app,
        &caller,
        &request.room_id,
        &request.user_id,
        Action::Ban,
        &content,
    )
    .await?;
    Ok(RumaBody(Response::new()))
}
