//! What rules say about an event.

use std::collections::BTreeMap;

use futures_util::FutureExt as _;
use ganglion_model::Verdict;
use ruma::power_levels::NotificationPowerLevels;
use ruma::push::{
    Action, PushCondition, PushConditionPowerLevelsCtx, PushConditionRoomCtx, Ruleset,
};
use ruma::room_version_rules::{AuthorizationRules, RoomPowerLevelsRules};
use ruma::serde::Raw;
use ruma::{Int, RoomId, UInt, UserId};
use serde::Serialize;
use serde_json::value::RawValue;

/// An event, as push conditions look at it.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct EventFacts<'e> {
    /// `type`.
    #[serde(rename = "type")]
    pub event_type: &'e str,
    /// `state_key`, of state events.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_key: Option<&'e str>,
    /// `sender`.
    pub sender: &'e str,
    /// `event_id`.
    pub event_id: &'e str,
    /// `room_id`.
    pub room_id: &'e RoomId,
    /// `content`, a JSON object.
    pub content: &'e RawValue,
}

impl EventFacts<'_> {
    /// Whether the content speaks of mentions. Where it does not, nobody is mentioned.
    #[must_use]
    pub fn has_mentions(&self) -> bool {
        self.content.get().contains("m.mentions")
    }

    /// The users that the event says it mentions (client-server API, "User and room mentions").
    #[must_use]
    pub fn mentioned(&self) -> Vec<String> {
        #[derive(serde::Deserialize)]
        struct Content {
            #[serde(rename = "m.mentions")]
            mentions: Mentions,
        }
        #[derive(serde::Deserialize)]
        struct Mentions {
            #[serde(default)]
            user_ids: Vec<String>,
        }
        if !self.has_mentions() {
            return Vec::new();
        }
        serde_json::from_str::<Content>(self.content.get())
            .map(|content| content.mentions.user_ids)
            .unwrap_or_default()
    }
}

/// The user whose rules are asked, and the room at the event.
#[derive(Debug, Clone, Copy)]
pub struct Onlooker<'u> {
    /// The user.
    pub user_id: &'u UserId,
    /// The user's display name in the room.
    pub display_name: &'u str,
    /// How many are joined.
    pub members: u64,
    /// Whether the event's sender may notify the whole room.
    pub may_notify_room: bool,
}

/// What the first rule that matches does; nothing if none does or the user sent the event.
#[must_use]
pub fn actions(rules: &Ruleset, event: &EventFacts<'_>, onlooker: &Onlooker<'_>) -> Vec<Action> {
    let Ok(raw) = serde_json::value::to_raw_value(event) else {
        return Vec::new();
    };
    let raw = Raw::<serde_json::Value>::from_json(raw);
    let members = UInt::try_from(onlooker.members).unwrap_or(UInt::MAX);
    let mut context = PushConditionRoomCtx::new(
        event.room_id.to_owned(),
        members,
        onlooker.user_id.to_owned(),
        onlooker.display_name.to_owned(),
    );
    if let Some(sender) = UserId::parse(event.sender)
        .ok()
        .filter(|_| onlooker.may_notify_room)
    {
        // Who may is known already: the sender has what it takes, whatever that is.
        let levels = PushConditionPowerLevelsCtx::new(
            BTreeMap::from([(sender, Int::MAX)]),
            Int::MIN,
            NotificationPowerLevels::new(),
            RoomPowerLevelsRules::new(&AuthorizationRules::V11, None),
        );
        context = context.with_power_levels(levels);
    }
    // It is a future for the sake of conditions that are not stable yet; it never waits.
    let actions = rules.get_actions(&raw, &context).now_or_never();
    actions.map(<[Action]>::to_vec).unwrap_or_default()
}

/// What actions count for.
#[must_use]
pub fn verdict(actions: &[Action]) -> Verdict {
    let notify = actions.iter().any(Action::should_notify);
    Verdict {
        notify,
        highlight: notify && actions.iter().any(Action::is_highlight),
    }
}

/// Whether what a user's rules say can depend on how many are joined. The default rules do not, as far
/// as it counts: a message notifies in a room of two as in any other.
#[must_use]
pub fn needs_members(rules: &Ruleset) -> bool {
    let counts = |id: &str| {
        let rule = rules.underride.get(id).filter(|rule| rule.enabled);
        rule.map(|rule| verdict(&rule.actions))
    };
    let as_any_other = |one: &str| match one {
        ".m.rule.room_one_to_one" => counts(one) == counts(".m.rule.message"),
        ".m.rule.encrypted_room_one_to_one" => counts(one) == counts(".m.rule.encrypted"),
        _ => false,
    };
    let asks = |condition: &PushCondition| matches!(condition, PushCondition::RoomMemberCount(_));
    let mut conditional = rules.override_.iter().chain(&rules.underride);
    conditional.any(|rule| {
        rule.enabled && rule.conditions.iter().any(asks) && !as_any_other(&rule.rule_id)
    })
}

/// Whether the default rules can say anything but "nothing" about an event: what is of none of these
/// types and mentions nobody is matched by no rule that notifies.
fn may_notify(event: &EventFacts<'_>) -> bool {
    const TYPES: [&str; 4] = [
        "m.room.message",
        "m.room.encrypted",
        "m.call.invite",
        "m.room.tombstone",
    ];
    TYPES.contains(&event.event_type) || event.has_mentions()
}

/// What the default rules say to everybody whom the event does not name: neither its sender, nor
/// mentioned, nor invited by it.
pub struct DefaultRules {
    rules: Ruleset,
    nobody: ruma::OwnedUserId,
}

impl std::fmt::Debug for DefaultRules {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DefaultRules").finish_non_exhaustive()
    }
}

impl Default for DefaultRules {
    fn default() -> Self {
        // A name that no account has: localparts are not empty.
        let nobody = ruma::user_id!("@:nobody.invalid").to_owned();
        Self {
            rules: Ruleset::server_default(&nobody),
            nobody,
        }
    }
}

impl DefaultRules {
    /// The verdict; `may_notify_room` is asked only if the event mentions the room.
    pub fn verdict(
        &self,
        event: &EventFacts<'_>,
        may_notify_room: impl FnOnce() -> bool,
    ) -> Verdict {
        if !may_notify(event) {
            return Verdict::default();
        }
        let onlooker = Onlooker {
            user_id: &self.nobody,
            display_name: "",
            // A message notifies in a room of two as in any other.
            members: 3,
            may_notify_room: event.has_mentions() && may_notify_room(),
        };
        verdict(&actions(&self.rules, event, &onlooker))
    }
}

/// Whether an event names a user, so that even the default rules may say something else to this user
/// than to others.
#[must_use]
pub fn names(event: &EventFacts<'_>, user_id: &UserId) -> bool {
    event.state_key == Some(user_id.as_str())
        || (event.has_mentions() && event.content.get().contains(user_id.as_str()))
}

#[cfg(test)]
mod tests;
