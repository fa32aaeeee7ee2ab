//! Which room versions there are and by which rules they go.

use ruma::RoomVersionId;
use ruma::room_version_rules::RoomVersionRules;

/// A room version that this server can hold (spec: "Room Versions").
///
/// Versions 1 and 2 are left out: their event ids are chosen by servers, not hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names are the numbers")]
pub enum RoomVersion {
    V3,
    V4,
    V5,
    V6,
    V7,
    V8,
    V9,
    V10,
    V11,
    V12,
}

impl RoomVersion {
    /// All of them, for `/capabilities`; the spec calls each one stable.
    pub const SUPPORTED: [Self; 10] = [
        Self::V3,
        Self::V4,
        Self::V5,
        Self::V6,
        Self::V7,
        Self::V8,
        Self::V9,
        Self::V10,
        Self::V11,
        Self::V12,
    ];

    /// From the spec's name; `None` where the version is unknown or not held.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::SUPPORTED
            .into_iter()
            .find(|version| version.as_str() == name)
    }

    /// The spec's name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V3 => "3",
            Self::V4 => "4",
            Self::V5 => "5",
            Self::V6 => "6",
            Self::V7 => "7",
            Self::V8 => "8",
            Self::V9 => "9",
            Self::V10 => "10",
            Self::V11 => "11",
            Self::V12 => "12",
        }
    }

    /// As ruma's type.
    #[must_use]
    pub fn id(self) -> RoomVersionId {
        match self {
            Self::V3 => RoomVersionId::V3,
            Self::V4 => RoomVersionId::V4,
            Self::V5 => RoomVersionId::V5,
            Self::V6 => RoomVersionId::V6,
            Self::V7 => RoomVersionId::V7,
            Self::V8 => RoomVersionId::V8,
            Self::V9 => RoomVersionId::V9,
            Self::V10 => RoomVersionId::V10,
            Self::V11 => RoomVersionId::V11,
            Self::V12 => RoomVersionId::V12,
        }
    }

    /// The one table of rules; every difference between versions is a field of it.
    #[must_use]
    pub fn rules(self) -> &'static RoomVersionRules {
        match self {
            Self::V3 => &RoomVersionRules::V3,
            Self::V4 => &RoomVersionRules::V4,
            Self::V5 => &RoomVersionRules::V5,
            Self::V6 => &RoomVersionRules::V6,
            Self::V7 => &RoomVersionRules::V7,
            Self::V8 => &RoomVersionRules::V8,
            Self::V9 => &RoomVersionRules::V9,
            Self::V10 => &RoomVersionRules::V10,
            Self::V11 => &RoomVersionRules::V11,
            Self::V12 => &RoomVersionRules::V12,
        }
    }

    /// Whether the room id is the reference hash of the create event, which then names no room and
    /// is never an auth event.
    #[must_use]
    pub fn room_id_is_create_hash(self) -> bool {
        self.rules().authorization.room_create_event_id_as_room_id
    }

    /// Whether the creators stand above all power levels and may not be listed in them.
    #[must_use]
    pub fn privileges_creators(self) -> bool {
        self.rules()
            .authorization
            .explicitly_privilege_room_creators
    }

    /// Whether the create event names its creator in `content.creator` instead of by its sender.
    #[must_use]
    pub fn names_creator_in_content(self) -> bool {
        !self.rules().authorization.use_room_create_sender
    }

    /// Whether `redacts` lies in the content of an `m.room.redaction` instead of beside it.
    #[must_use]
    pub fn redacts_in_content(self) -> bool {
        self.rules().redaction.content_field_redacts
    }

    /// Whether events must be canonical JSON (no floats, integers of 53 bits). Events that are not
    /// cannot be held in older versions either.
    #[must_use]
    pub fn strict_canonical_json(self) -> bool {
        self.rules().authorization.strict_canonical_json
    }
}

impl std::fmt::Display for RoomVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests;
