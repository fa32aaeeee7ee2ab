//! Authorisation rules (server-server API, "PDUs"; room version pages, "Authorisation rules").

use std::sync::Arc;

use ruma::events::{StateEventType, TimelineEventType};
use ruma::state_res::events::RoomCreateEvent;
use ruma::state_res::{
    auth_types_for_event, check_state_dependent_auth_rules, check_state_independent_auth_rules,
};
use ruma::{EventId, UserId};
use serde_json::value::RawValue;

use crate::pdu::Pdu;
use crate::resolve::StateKey;
use crate::version::RoomVersion;

/// The rule that an event breaks, for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct AuthError(pub String);

/// The state that authorises an event: (type, state key) of each auth event it should have, where
/// the state has one (server-server API, "Auth events selection").
///
/// Never names the create event in rooms that are named by it. Fails on a malformed member event.
pub fn auth_keys(
    event_type: &str,
    sender: &UserId,
    state_key: Option<&str>,
    content: &RawValue,
    version: RoomVersion,
) -> Result<Vec<StateKey>, AuthError> {
    let kind = TimelineEventType::from(event_type);
    let rules = &version.rules().authorization;
    let keys = auth_types_for_event(&kind, sender, state_key, content, rules).map_err(AuthError)?;
    Ok(keys
        .into_iter()
        .map(|(kind, key)| (kind.to_string(), key))
        .collect())
}

/// The rules on the event itself and its auth events, to be checked once, on receipt.
///
/// `fetch` answers with any event of the room, also a rejected one; in rooms named by their create
/// event it is asked for that too. An error means: reject.
pub fn check_independent(
    pdu: &Pdu,
    version: RoomVersion,
    fetch: impl Fn(&EventId) -> Option<Arc<Pdu>>,
) -> Result<(), AuthError> {
    check_state_independent_auth_rules(&version.rules().authorization, pdu, fetch)
        .map_err(AuthError)?;
    if pdu.event_type == "m.room.create" {
        let named = RoomCreateEvent::new(pdu)
            .room_version()
            .map_err(AuthError)?;
        if named != version.id() {
            return Err(AuthError(format!(
                "the create event is of room version {named}"
            )));
        }
    }
    Ok(())
}

/// The rules against a state: that of the auth events, that before the event, or the current one.
///
/// `state` is asked for create, power levels, join rules, third-party invites and members. An error
/// means: reject, or for the current state soft-fail.
pub fn check_dependent(
    pdu: &Pdu,
    version: RoomVersion,
    state: impl Fn(&str, &str) -> Option<Arc<Pdu>>,
) -> Result<(), AuthError> {
    let fetch = |kind: &StateEventType, key: &str| state(&kind.to_string(), key);
    check_state_dependent_auth_rules(&version.rules().authorization, pdu, fetch).map_err(AuthError)
}

#[cfg(test)]
mod tests;
