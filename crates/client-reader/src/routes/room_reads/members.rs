//! `GET /_matrix/client/v3/rooms/{roomId}/members`

use axum::extract::State;
use ganglion_accounts::storage_error;
use ganglion_http_kit::{ApiError, JsonBytes, Ruma};
use ganglion_model::Position;
use ganglion_rooms::RoomEvent;
use ganglion_storage::state::Wanted;
use ruma::api::client::membership::get_member_events::v3::Request;

use super::state::{state_at, write_state};
use super::{enter, position};
use crate::caller::Caller;
use crate::state::AppState;

/// The member events of a room, now or at a token.
pub(crate) async fn get(
    State(app): State<AppState>,
    caller: Caller,
    Ruma(request): Ruma<Request>,
) -> Result<JsonBytes, ApiError> {
    let mut view = caller.view(&app);
    let entered = enter(&app, &caller, &mut view, &request.room_id).await?;
    let at = match &request.at {
        Some(token) => {
            let generation = caller.barrier.heads.generation;
            position(&mut view, generation, entered.room.shard, token).await?
        }
        None => Position::MAX,
    };
    let mut members = state_at(&app, &mut view, &entered, at, Wanted::Members)
        .await
        .map_err(storage_error)?;
    let membership = |event: &RoomEvent| event.membership.map(|m| m.as_str());
    members.retain(|event| {
        let is = |wanted: &str| membership(event) == Some(wanted);
        request
            .membership
            .as_ref()
            .is_none_or(|wanted| is(wanted.as_str()))
            && !request
                .not_membership
                .as_ref()
                .is_some_and(|not| is(not.as_str()))
    });
    let mut body = b"{\"chunk\":".to_vec();
    write_state(&app, &caller, &mut view, &entered, &members, &mut body)
        .await
        .map_err(storage_error)?;
    body.push(b'}');
    Ok(JsonBytes(body))
}
