//! `GET /_matrix/client/v3/rooms/{roomId}/members`

use axum::extract::State;
use ganglion_accounts::storage_error;
use ganglion_http_kit::{ApiError, JsonBytes, Ruma};
use ganglion_model::{MatrixError, Membership, Position};
use ganglion_rooms::RoomEvent;
use ganglion_storage::state;
use ruma::api::client::membership::get_member_events::v3::Request;
use ruma::events::room::member::MembershipState;

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
    let wanted = Wanted::new(&request)?;
    let mut members = state_at(&app, &mut view, &entered, at, state::Wanted::Members)
        .await
        .map_err(storage_error)?;
    members.retain(|event| wanted.accepts(event));
    let mut body = b"{\"chunk\":".to_vec();
    write_state(&app, &caller, &mut view, &entered, &members, &mut body)
        .await
        .map_err(storage_error)?;
    body.push(b'}');
    Ok(JsonBytes(body))
}

/// Which members are asked for.
struct Wanted {
    is: Option<Membership>,
    is_not: Option<Membership>,
}

impl Wanted {
    /// # Errors
    /// 400 for what is no membership.
    fn new(request: &Request) -> Result<Self, MatrixError> {
        let parse = |membership: &Option<MembershipState>| match membership {
            None => Ok(None),
            Some(text) => Membership::parse(text.as_str())
                .map(Some)
                .ok_or_else(|| MatrixError::invalid_param(format!("{text} is no membership"))),
        };
        Ok(Self {
            is: parse(&request.membership)?,
            is_not: parse(&request.not_membership)?,
        })
    }

    /// Asked for both, it is enough that one of them holds.
    fn accepts(&self, event: &RoomEvent) -> bool {
        let is = |wanted| event.membership == Some(wanted);
        match (self.is, self.is_not) {
            (None, None) => true,
            (Some(wanted), None) => is(wanted),
            (None, Some(unwanted)) => !is(unwanted),
            (Some(wanted), Some(unwanted)) => is(wanted) || !is(unwanted),
        }
    }
}
