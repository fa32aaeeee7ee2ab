//! `POST /_matrix/client/v3/rooms/{roomId}/leave`

use axum::extract::State;
use ganglion_http_kit::{ApiError, Ruma, RumaBody};
use ganglion_proto::persister::set_membership::Action;
use ruma::CanonicalJsonObject;
use ruma::api::client::membership::leave_room::v3::{Request, Response};

use super::{set_membership, with_reason};
use crate::caller::Caller;
use crate::state::AppState;

/// Leaves a room, rejects an invite, or withdraws a knock.
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
        &caller.user_id,
        Action::Leave,
        &content,
    )
    .await?;
    Ok(RumaBody(Response::new()))
}
