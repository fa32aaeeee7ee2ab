//! Presence: `/_matrix/client/v3/presence/{userId}/status`.

mod get;
mod put;

use ganglion_http_kit::Routes;
use ganglion_model::MatrixError;
use ganglion_sync::State;
use ruma::api::client::presence::{get_presence, set_presence};
use ruma::presence::PresenceState;

use crate::state::AppState;

pub(crate) fn routes(routes: &mut Routes<AppState>) {
    routes.ruma::<get_presence::v3::Request, _, _>(get::get);
    routes.ruma::<set_presence::v3::Request, _, _>(put::put);
}

/// The state that a client names.
pub(super) fn state(state: &PresenceState) -> Result<State, MatrixError> {
    Ok(match state {
        PresenceState::Offline => State::Offline,
        PresenceState::Unavailable => State::Unavailable,
        PresenceState::Online => State::Online,
        _ => {
            return Err(MatrixError::invalid_param(
                "presence is online, unavailable or offline",
            ));
        }
    })
}
