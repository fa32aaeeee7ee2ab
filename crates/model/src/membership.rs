//! Membership and history visibility as small numbers, as the database and the logs hold them.

/// `content.membership` of `m.room.member`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Membership {
    /// Left, kicked, unbanned, or never in the room.
    Leave = 0,
    /// Invited.
    Invite = 1,
    /// Joined.
    Join = 2,
    /// Has knocked.
    Knock = 3,
    /// Banned.
    Ban = 4,
}

impl Membership {
    /// From the spec's string; `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "leave" => Self::Leave,
            "invite" => Self::Invite,
            "join" => Self::Join,
            "knock" => Self::Knock,
            "ban" => Self::Ban,
            _ => return None,
        })
    }

    /// The spec's string.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Leave => "leave",
            Self::Invite => "invite",
            Self::Join => "join",
            Self::Knock => "knock",
            Self::Ban => "ban",
        }
    }

    /// The number in the database and on the wire.
    #[must_use]
    pub fn to_i16(self) -> i16 {
        self as i16
    }

    /// From the database or the wire; `None` for an unknown number.
    #[must_use]
    pub fn from_i16(number: i16) -> Option<Self> {
        Some(match number {
            0 => Self::Leave,
            1 => Self::Invite,
            2 => Self::Join,
            3 => Self::Knock,
            4 => Self::Ban,
            _ => return None,
        })
    }
}

/// `content.history_visibility` of `m.room.history_visibility`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
#[repr(u8)]
pub enum HistoryVisibility {
    /// The default where the event is absent or its value unknown.
    #[default]
    Shared = 0,
    /// Anyone may read.
    WorldReadable = 1,
    /// From the invite on.
    Invited = 2,
    /// From the join on.
    Joined = 3,
}

impl HistoryVisibility {
    /// From the spec's string; anything unknown counts as `shared`.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        match text {
            "world_readable" => Self::WorldReadable,
            "invited" => Self::Invited,
            "joined" => Self::Joined,
            _ => Self::Shared,
        }
    }

    /// The number in the database and on the wire.
    #[must_use]
    pub fn to_i16(self) -> i16 {
        self as i16
    }

    /// From the database or the wire; an unknown number counts as `shared`.
    #[must_use]
    pub fn from_i16(number: i16) -> Self {
        match number {
            1 => Self::WorldReadable,
            2 => Self::Invited,
            3 => Self::Joined,
            _ => Self::Shared,
        }
    }
}
