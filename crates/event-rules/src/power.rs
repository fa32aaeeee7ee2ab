//! Power levels, read leniently: what cannot be read counts as its default.
//!
//! For decisions about an event the authorisation rules decide ([`crate::auth`]); this is for
//! questions beside them: what a redaction may do, who may see a control, push conditions.

use std::collections::{BTreeMap, BTreeSet};

use ruma::{OwnedUserId, UserId};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::version::RoomVersion;

/// What a user can do; greater is more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// A number from the power levels.
    Number(i64),
    /// That of the creators since room version 12.
    Infinite,
}

/// The power levels of a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Power {
    creators: BTreeSet<OwnedUserId>,
    privileges_creators: bool,
    has_levels: bool,
    users: BTreeMap<String, i64>,
    events: BTreeMap<String, i64>,
    notifications: BTreeMap<String, i64>,
    singles: BTreeMap<String, i64>,
}

impl Power {
    /// From the create event's sender and content and the content of the power levels, if any.
    #[must_use]
    pub fn new(
        version: RoomVersion,
        create_sender: &UserId,
        create_content: &RawValue,
        levels: Option<&RawValue>,
    ) -> Self {
        let object = |raw: &RawValue| serde_json::from_str(raw.get()).unwrap_or_default();
        let create: Map<String, Value> = object(create_content);
        let content: Map<String, Value> = levels.map(object).unwrap_or_default();
        let parse = |value: &Value| level(value, version);
        let table = |key: &str| match content.get(key) {
            Some(Value::Object(table)) => {
                let level = |(name, value): (&String, &Value)| Some((name.clone(), parse(value)?));
                table.iter().filter_map(level).collect()
            }
            _ => BTreeMap::new(),
        };
        Self {
            creators: creators(version, create_sender, &create),
            privileges_creators: version.privileges_creators(),
            has_levels: levels.is_some(),
            users: table("users"),
            events: table("events"),
            notifications: table("notifications"),
            singles: content
                .iter()
                .filter_map(|(name, value)| Some((name.clone(), parse(value)?)))
                .collect(),
        }
    }

    /// The users who are named: creators and those with a level of their own.
    #[must_use]
    pub fn listed_users(&self) -> Vec<OwnedUserId> {
        let levels = self.users.keys().filter_map(|id| UserId::parse(id).ok());
        self.creators.iter().cloned().chain(levels).collect()
    }

    /// The creators: of one room version the sender, of another whom the content names.
    #[must_use]
    pub fn creators(&self) -> &BTreeSet<OwnedUserId> {
        &self.creators
    }

    /// Whether the levels name a creator although creators stand above all numbers.
    #[must_use]
    pub fn ranks_creators(&self) -> bool {
        let mut creators = self.creators.iter();
        self.privileges_creators && creators.any(|user| self.users.contains_key(user.as_str()))
    }

    /// The level of a user.
    #[must_use]
    pub fn user(&self, user: &UserId) -> Level {
        let creator = self.creators.contains(user);
        if creator && self.privileges_creators {
            return Level::Infinite;
        }
        if creator && !self.has_levels {
            return Level::Number(100);
        }
        let own = self.users.get(user.as_str()).copied();
        Level::Number(own.unwrap_or_else(|| self.single("users_default", 0)))
    }

    /// The level needed to send an event of a type, as state or as a message.
    #[must_use]
    pub fn needed(&self, event_type: &str, is_state: bool) -> i64 {
        let default = match is_state {
            true => self.single("state_default", 50),
            false => self.single("events_default", 0),
        };
        self.events.get(event_type).copied().unwrap_or(default)
    }

    /// The level needed to invite.
    #[must_use]
    pub fn invite(&self) -> i64 {
        self.single("invite", 0)
    }

    /// The level needed to kick.
    #[must_use]
    pub fn kick(&self) -> i64 {
        self.single("kick", 50)
    }

    /// The level needed to ban and unban.
    #[must_use]
    pub fn ban(&self) -> i64 {
        self.single("ban", 50)
    }

    /// The level needed to redact the events of others.
    #[must_use]
    pub fn redact(&self) -> i64 {
        self.single("redact", 50)
    }

    /// The level needed for a notification of a kind, such as `room`.
    #[must_use]
    pub fn notification(&self, kind: &str) -> i64 {
        self.notifications.get(kind).copied().unwrap_or(50)
    }

    /// Whether a user's level reaches a needed one.
    #[must_use]
    pub fn reaches(&self, user: &UserId, needed: i64) -> bool {
        self.user(user) >= Level::Number(needed)
    }

    /// Whether a user may send an event of a type.
    #[must_use]
    pub fn may_send(&self, user: &UserId, event_type: &str, is_state: bool) -> bool {
        self.reaches(user, self.needed(event_type, is_state))
    }

    /// Whether a user may redact the events of users of other servers.
    #[must_use]
    pub fn may_redact_others(&self, user: &UserId) -> bool {
        self.reaches(user, self.redact())
    }

    fn single(&self, key: &str, default: i64) -> i64 {
        self.singles.get(key).copied().unwrap_or(default)
    }
}

fn creators(
    version: RoomVersion,
    sender: &UserId,
    content: &Map<String, Value>,
) -> BTreeSet<OwnedUserId> {
    let user = |value: &Value| UserId::parse(value.as_str()?).ok();
    if version.names_creator_in_content() {
        return content.get("creator").and_then(user).into_iter().collect();
    }
    let mut creators = BTreeSet::from([sender.to_owned()]);
    if version.rules().authorization.additional_room_creators
        && let Some(Value::Array(others)) = content.get("additional_creators")
    {
        creators.extend(others.iter().filter_map(user));
    }
    creators
}

/// Before room version 10 a level may be a number in a string.
fn level(value: &Value, version: RoomVersion) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) if !version.rules().authorization.integer_power_levels => {
            text.trim().parse().ok()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
