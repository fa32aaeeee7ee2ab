//! `POST /_matrix/client/v3/knock/{roomIdOrAlias}`

use axum::extract::State;
use ganglion_http_kit::{ApiError, Ruma, RumaBody};
use ganglion_proto::persister::set_membership::Action;
use ruma::api::client::knock::knock_room::v3::{Request, Response};

use super::{profile_content, set_membership, with_reason};
use crate::caller::Caller;
use crate::routes::aliases::resolve;
use crate::state::AppState;

/// Asks to be let into a room whose join rule allows asking.
pub(crate) async fn post(
    State(app): State<AppState>,
    caller: Caller,
    Ruma(request): Ruma<Request>,
) -> Result<RumaBody<Response>, ApiError> {
    let room_id = resolve(&app, &mut caller.view(&app), request.room_id_or_alias).await?;
    let profile = profile_content(&app, &caller, &caller.user_id).await?;
    let content = with_reason(profile, request.reason);
    let target = &caller.user_id;
    set_membership(&app, &caller, &room_id, target, Action::Knock, &content).await?;
    Ok(RumaBody(Response::new(room_id)))
}
