//! Events made here: built at the room's extremities, authorised against its current state, placed.

use std::sync::Arc;

use ganglion_event_rules::build::{self, Draft};
use ganglion_event_rules::{FormatError, Pdu, Power, auth};
use ganglion_model::{EventNid, MatrixError};
use ganglion_proto::persister::SendEvent;
use ganglion_storage::StorageError;
use ruma::{CanonicalJsonObject, EventId, OwnedEventId, OwnedUserId, UserId};

use super::part::{Part, Step, Unsigned};
use super::place::Arrival;
use super::room::Room;
use super::{Done, OutcomeDone, RoomShard, done};
use crate::words::StateKey;

/// An event's references to others are bounded (server-server API, "PDU fields").
const MAX_PREV_EVENTS: usize = 20;

const MEMBER: &str = "m.room.member";

/// In a join that the join rule allows: the user of this server who may let people in (client-server
/// API, "Restricted rooms").
pub(super) const VOUCHER: &str = "join_authorised_via_users_server";

/// What a local user wants to say; the rest of the event follows from the room.
#[derive(Debug, Clone)]
pub(super) struct Intent {
    pub(super) sender: OwnedUserId,
    pub(super) event_type: String,
    pub(super) state_key: Option<String>,
    pub(super) content: CanonicalJsonObject,
    pub(super) redacts: Option<OwnedEventId>,
    /// The number of the event that this one redacts, if that takes effect.
    pub(super) redacts_nid: Option<EventNid>,
    /// Device and transaction id.
    pub(super) txn: Option<(String, String)>,
}

impl Intent {
    /// A state event.
    pub(super) fn state(
        sender: OwnedUserId,
        event_type: &str,
        state_key: &str,
        content: CanonicalJsonObject,
    ) -> Self {
        Self {
            sender,
            event_type: event_type.to_owned(),
            state_key: Some(state_key.to_owned()),
            content,
            redacts: None,
            redacts_nid: None,
            txn: None,
        }
    }
}

impl RoomShard {
    pub(super) async fn send_event(
        &self,
        room: &mut Room,
        send: &SendEvent,
        part: &mut Part,
    ) -> Step<Done> {
        let mut content = parse_content(&send.content)?;
        if send.r#type == MEMBER {
            // Who vouches for a join is for this server to say: its signature makes it true.
            content.remove(VOUCHER);
        }
        let intent = Intent {
            sender: parse_user(&send.sender)?,
            event_type: send.r#type.clone(),
            state_key: send.state_key.clone(),
            content,
            redacts: None,
            redacts_nid: None,
            txn: send.device_id.clone().zip(send.txn_id.clone()),
        };
        if let Some(state_key) = &intent.state_key {
            let key = (intent.event_type.clone(), state_key.clone());
            self.ensure_state(room, &[key]).await?;
            if let Some(same) = unchanged(room, &intent) {
                return Ok(same);
            }
        }
        let annotation = self.check_relation(room, &intent).await?;
        self.append(room, part, intent).await?;
        room.related.annotations.extend(annotation);
        Ok(done(room, part))
    }

    /// Builds an event, checks it and places it. Refused, it leaves room and part untouched.
    pub(super) async fn append(
        &self,
        room: &mut Room,
        part: &mut Part,
        intent: Intent,
    ) -> Step<Arc<Pdu>> {
        let raw = serde_json::value::to_raw_value(&intent.content)
            .map_err(|error| MatrixError::bad_json(error.to_string()))?;
        let auth_keys = auth::auth_keys(
            &intent.event_type,
            &intent.sender,
            intent.state_key.as_deref(),
            &raw,
            room.version,
        )
        .map_err(|error| MatrixError::bad_json(error.to_string()))?;
        self.ensure_for(room, &intent, &auth_keys).await?;
        let auth_events: Vec<_> = auth_keys
            .iter()
            .filter_map(|(event_type, key)| room.state(event_type, key))
            .map(|held| held.event.clone())
            .collect();
        let extremities = room.extremities.iter().rev().take(MAX_PREV_EVENTS);
        let draft = Draft {
            room_id: Some(room.id.clone()),
            sender: intent.sender,
            event_type: intent.event_type,
            state_key: intent.state_key,
            content: intent.content,
            prev_events: extremities.map(|e| e.event_id.clone()).collect(),
            auth_events: auth_events.iter().map(|e| e.event_id.clone()).collect(),
            depth: room.next_depth(),
            origin_server_ts: part.now_ms,
            redacts: intent.redacts,
        };
        let hashed = build::hash(draft, room.version).map_err(refused_format)?;
        let event = Arc::new(hashed.pdu);
        check_by_itself(room, &event, &auth_events)?;
        check_against_current(room, &event)?;
        let job = self.follow_upgrade(room, &event, part.now_ms).await?;
        let nid = EventNid(self.shared.next_id().await?);
        let arrival = Arrival {
            nid,
            event: event.clone(),
            txn: intent.txn,
            envelope: Vec::new(),
            redacts: intent.redacts_nid,
        };
        let row = self.place(room, part, arrival).await?;
        part.jobs.extend(job);
        part.unsigned.push(Unsigned {
            row,
            pdu: event.clone(),
            object: hashed.object,
            version: room.version,
        });
        Ok(event)
    }

    /// Loads what building, authorising and placing an event looks at.
    async fn ensure_for(
        &self,
        room: &mut Room,
        intent: &Intent,
        auth_keys: &[StateKey],
    ) -> Result<(), StorageError> {
        let mut keys = auth_keys.to_vec();
        // In room version 12 it is not among the auth events, but the rules still read it.
        keys.push(("m.room.create".to_owned(), String::new()));
        keys.push(("m.room.history_visibility".to_owned(), String::new()));
        if let Some(state_key) = &intent.state_key {
            keys.push((intent.event_type.clone(), state_key.clone()));
        }
        self.ensure_state(room, &keys).await
    }
}

/// The authorisation rules on the event itself, which no state and no power changes: a second create
/// event breaks them.
pub(super) fn check_by_itself(
    room: &Room,
    event: &Pdu,
    auth_events: &[Arc<Pdu>],
) -> Result<(), MatrixError> {
    let create = room.state("m.room.create", "").map(|held| &held.event);
    let find = |id: &EventId| {
        let mut known = auth_events.iter().chain(create);
        known.find(|known| known.event_id == id).cloned()
    };
    auth::check_independent(event, room.version, find)
        .map_err(|error| MatrixError::invalid_param(error.to_string()))
}

/// The authorisation rules of the room's version against its current state.
pub(super) fn check_against_current(room: &Room, event: &Pdu) -> Result<(), MatrixError> {
    auth::check_dependent(event, room.version, |event_type, state_key| {
        room.state(event_type, state_key)
            .map(|held| held.event.clone())
    })
    .map_err(|error| match gives_creators_levels(room, event) {
        true => MatrixError::invalid_param(error.to_string()),
        false => MatrixError::forbidden(error.to_string()),
    })
}

/// Whether these are power levels that nobody may set, as they name a user who stands above all
/// (room version 12, authorisation rule 10.4).
fn gives_creators_levels(room: &Room, event: &Pdu) -> bool {
    let Some(create) = room.state("m.room.create", "") else {
        return false;
    };
    let (sender, content) = (&create.event.sender, &create.event.content);
    event.is_state("m.room.power_levels", "")
        && Power::new(room.version, sender, content, Some(&event.content)).ranks_creators()
}

/// The event already in the slot, if the same sender put the same content there.
pub(super) fn unchanged(room: &Room, intent: &Intent) -> Option<Done> {
    let held = &room
        .state(&intent.event_type, intent.state_key.as_deref()?)?
        .event;
    let content: CanonicalJsonObject = serde_json::from_str(held.content.get()).ok()?;
    (held.sender == intent.sender && content == intent.content).then(|| {
        Done::Unchanged(OutcomeDone {
            event_id: held.event_id.to_string(),
            value: String::new(),
            position: 0,
        })
    })
}

pub(super) fn parse_user(text: &str) -> Result<OwnedUserId, MatrixError> {
    UserId::parse(text).map_err(|_invalid| MatrixError::invalid_param("not a user id"))
}

pub(super) fn parse_content(bytes: &[u8]) -> Result<CanonicalJsonObject, MatrixError> {
    serde_json::from_slice(bytes)
        .map_err(|error| MatrixError::bad_json(format!("the content is no JSON object: {error}")))
}

/// What a client is told of an event that breaks the format's rules.
pub(super) fn refused_format(error: FormatError) -> MatrixError {
    match error {
        FormatError::TooLarge => MatrixError::too_large(error.to_string()),
        FormatError::Invalid(reason) => MatrixError::bad_json(reason),
    }
}
