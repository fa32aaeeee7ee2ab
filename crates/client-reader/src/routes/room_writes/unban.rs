//! `POST /_matrix/client/v3/rooms/{roomId}/unban`

use axum::extract::State;
use ganglion_http_kit::{ApiError, Ruma, RumaBody};
use ganglion_proto::persister::set_membership::Action;
use ruma::CanonicalJsonObject;
use ruma::api::client::membership::unban_user::v3::{Request, Response};

use super::{set_membership, with_reason};
use crate::caller::Caller;
use crate::state::AppState;

/// Lifts a ban; the user may then be invited or join again.
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
        Action::Unban,
        &content,
    )
    .await?;
    Ok(RumaBody(Response::new()))
}
