//! A persistent event, parsed.

pub(crate) mod check;

use ganglion_model::Membership;
use ruma::canonical_json::CanonicalJsonObjectExt as _;
use ruma::events::TimelineEventType;
use ruma::signatures::reference_hash;
use ruma::state_res::Event;
use ruma::{
    CanonicalJsonObject, CanonicalJsonValue, EventId, MilliSecondsSinceUnixEpoch, OwnedEventId,
    OwnedRoomId, OwnedUserId, RoomId, UInt, UserId,
};
use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};

use crate::stored::Columns;
use crate::version::RoomVersion;

/// Why an object is no event of its room version. Such an event is dropped, not rejected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// Larger than the spec's limit ("Size limits"): 65,535 bytes of canonical JSON.
    #[error("the event is larger than 65535 bytes")]
    TooLarge,
    /// A key is absent, of the wrong type, too long or against its grammar.
    #[error("{0}")]
    Invalid(String),
}

impl FormatError {
    pub(crate) fn invalid(reason: impl std::fmt::Display) -> Self {
        Self::Invalid(reason.to_string())
    }
}

/// An event with what its room's rules look at; read-only, shared as `Arc<Pdu>`.
#[derive(Debug, Clone)]
pub struct Pdu {
    /// The reference hash.
    pub event_id: OwnedEventId,
    /// The room; for a create event of version 12, which carries none, made from the event id.
    pub room_id: OwnedRoomId,
    /// Who sent it.
    pub sender: OwnedUserId,
    /// The exact type (ruma's enum folds aliases into one).
    pub event_type: String,
    /// Present for state events.
    pub state_key: Option<String>,
    /// Milliseconds since the epoch, as the sender's server claims.
    pub origin_server_ts: i64,
    /// The distance from the create event, as the sender's server claims.
    pub depth: i64,
    /// Canonical JSON of an object.
    pub content: Box<RawValue>,
    /// The events before it.
    pub prev_events: Vec<OwnedEventId>,
    /// The events that authorise it.
    pub auth_events: Vec<OwnedEventId>,
    /// Whether it failed the checks on receipt: it may then authorise nothing.
    pub rejected: bool,
    kind: TimelineEventType,
    redacts: Option<OwnedEventId>,
    /// The room id as the rules see it: `None` where the event carries none.
    carries_room_id: bool,
}

const REDACTION: &str = "m.room.redaction";

/// What the envelope holds that a [`Pdu`] needs.
#[derive(Deserialize)]
struct Envelope {
    prev_events: Vec<OwnedEventId>,
    auth_events: Vec<OwnedEventId>,
    redacts: Option<serde_json::Value>,
    room_id: Option<serde_json::Value>,
}

impl Pdu {
    /// Checks the format of an event of `version` and computes its id.
    ///
    /// `object` may hold `unsigned`, which counts for the size and nothing else. Fails where the
    /// spec says to drop the event, and where a key could not be stored (a NUL in an id, the type or
    /// the state key). Signatures and content hash are not looked at.
    pub fn from_canonical(
        object: &CanonicalJsonObject,
        version: RoomVersion,
    ) -> Result<Self, FormatError> {
        check::check(object, version)?;
        let hash = reference_hash(object, version.rules()).map_err(FormatError::invalid)?;
        let event_id = EventId::new_v2_or_v3(&hash).map_err(FormatError::invalid)?;
        let event_type = check::text(object, "type")?.to_owned();
        let room_id = object.get("room_id").and_then(CanonicalJsonValue::as_str);
        let content = object.get_as_required_object("content", "content");
        let content = content.map_err(FormatError::invalid)?;
        Ok(Self {
            room_id: match room_id {
                Some(room_id) => RoomId::parse(room_id).map_err(FormatError::invalid)?,
                None => RoomId::new_v2(&hash).map_err(FormatError::invalid)?,
            },
            carries_room_id: room_id.is_some(),
            sender: UserId::parse(check::text(object, "sender")?).map_err(FormatError::invalid)?,
            kind: TimelineEventType::from(event_type.as_str()),
            state_key: check::optional_text(object, "state_key")?.map(ToOwned::to_owned),
            origin_server_ts: check::integer(object, "origin_server_ts")?,
            depth: check::integer(object, "depth")?,
            prev_events: check::event_ids(object, "prev_events")?,
            auth_events: check::event_ids(object, "auth_events")?,
            redacts: match version.redacts_in_content() {
                true => content.get("redacts"),
                false => object.get("redacts"),
            }
            .filter(|_| event_type == REDACTION)
            .and_then(|id| EventId::parse(id.as_str()?).ok()),
            content: to_raw_value(content).map_err(FormatError::invalid)?,
            rejected: false,
            event_id,
            event_type,
        })
    }

    /// From the parts that storage holds. Fails where the stored bytes are damaged.
    ///
    /// The id is taken as given: a redacted event still has it, and hashing is not free.
    pub fn from_stored(
        event_id: OwnedEventId,
        columns: &Columns<'_>,
        content: &[u8],
        envelope: &[u8],
        version: RoomVersion,
    ) -> Result<Self, FormatError> {
        #[derive(Deserialize)]
        struct Redacts {
            redacts: Option<serde_json::Value>,
        }
        let envelope: Envelope = serde_json::from_slice(envelope).map_err(FormatError::invalid)?;
        let content: Box<RawValue> =
            serde_json::from_slice(content).map_err(FormatError::invalid)?;
        let redacts = match version.redacts_in_content() {
            _ if columns.event_type != REDACTION => None,
            true => {
                let content: Redacts =
                    serde_json::from_str(content.get()).map_err(FormatError::invalid)?;
                content.redacts
            }
            false => envelope.redacts,
        };
        Ok(Self {
            event_id,
            room_id: RoomId::parse(columns.room_id).map_err(FormatError::invalid)?,
            carries_room_id: !columns.omits_room_id(version) || envelope.room_id.is_some(),
            sender: UserId::parse(columns.sender).map_err(FormatError::invalid)?,
            event_type: columns.event_type.to_owned(),
            kind: TimelineEventType::from(columns.event_type),
            state_key: columns.state_key.map(ToOwned::to_owned),
            origin_server_ts: columns.origin_server_ts,
            depth: columns.depth,
            content,
            prev_events: envelope.prev_events,
            auth_events: envelope.auth_events,
            rejected: false,
            redacts: redacts
                .as_ref()
                .and_then(|id| EventId::parse(id.as_str()?).ok()),
        })
    }

    /// The same event, marked as rejected.
    #[must_use]
    pub fn into_rejected(mut self) -> Self {
        self.rejected = true;
        self
    }

    /// The columns that storage holds of it.
    #[must_use]
    pub fn columns(&self) -> Columns<'_> {
        Columns {
            room_id: self.room_id.as_str(),
            sender: self.sender.as_str(),
            event_type: &self.event_type,
            state_key: self.state_key.as_deref(),
            origin_server_ts: self.origin_server_ts,
            depth: self.depth,
        }
    }

    /// Whether it is the state event of this type and key.
    #[must_use]
    pub fn is_state(&self, event_type: &str, state_key: &str) -> bool {
        self.event_type == event_type && self.state_key.as_deref() == Some(state_key)
    }

    /// `content.membership` of a member event; `None` for others and for unknown values.
    #[must_use]
    pub fn membership(&self) -> Option<Membership> {
        if self.kind != TimelineEventType::RoomMember || self.state_key.is_none() {
            return None;
        }
        Membership::parse(&self.content_text("membership")?)
    }

    /// The event that an `m.room.redaction` redacts, from the place its room version says.
    #[must_use]
    pub fn redacts(&self) -> Option<&EventId> {
        self.redacts.as_deref()
    }

    /// A top-level string of the content; `None` where it is absent or no string.
    #[must_use]
    pub fn content_text(&self, key: &str) -> Option<String> {
        let mut content: std::collections::BTreeMap<String, Box<RawValue>> =
            serde_json::from_str(self.content.get()).ok()?;
        serde_json::from_str(content.remove(key)?.get()).ok()
    }
}

impl Event for Pdu {
    type Id = OwnedEventId;

    fn event_id(&self) -> &OwnedEventId {
        &self.event_id
    }

    fn room_id(&self) -> Option<&RoomId> {
        self.carries_room_id.then_some(&self.room_id)
    }

    fn sender(&self) -> &UserId {
        &self.sender
    }

    fn origin_server_ts(&self) -> MilliSecondsSinceUnixEpoch {
        // Never negative nor above 53 bits: `check` has seen to that.
        MilliSecondsSinceUnixEpoch(UInt::try_from(self.origin_server_ts).unwrap_or(UInt::MAX))
    }

    fn event_type(&self) -> &TimelineEventType {
        &self.kind
    }

    fn content(&self) -> &RawValue {
        &self.content
    }

    fn state_key(&self) -> Option<&str> {
        self.state_key.as_deref()
    }

    fn prev_events(&self) -> Box<dyn DoubleEndedIterator<Item = &OwnedEventId> + '_> {
        Box::new(self.prev_events.iter())
    }

    fn auth_events(&self) -> Box<dyn DoubleEndedIterator<Item = &OwnedEventId> + '_> {
        Box::new(self.auth_events.iter())
    }

    fn redacts(&self) -> Option<&OwnedEventId> {
        self.redacts.as_ref()
    }

    fn rejected(&self) -> bool {
        self.rejected
    }
}

#[cfg(test)]
mod tests;
