//! What one user's push rules say about an event.

use ganglion_event_rules::Power;
use ganglion_model::{Membership, Verdict};
use ganglion_push_rules::{EventFacts, Onlooker, actions, names, needs_members, verdict};
use ganglion_storage::{StorageError, state};
use ruma::push::{Action, PushCondition, Ruleset};
use ruma::{OwnedUserId, UserId};
use serde_json::value::RawValue;

use crate::event::RoomEvent;
use crate::room::{RoomInfo, Rooms};
use crate::view::View;

impl RoomEvent {
    /// The event as push conditions look at it; `None` for one whose content is no JSON.
    #[must_use]
    pub fn facts<'e>(&'e self, room: &'e RoomInfo) -> Option<EventFacts<'e>> {
        Some(EventFacts {
            event_type: &self.event_type,
            state_key: self.state_key.as_deref(),
            sender: &self.sender,
            event_id: &self.event_id,
            room_id: <&ruma::RoomId>::try_from(&*room.id).ok()?,
            content: serde_json::from_slice::<&RawValue>(&self.content).ok()?,
        })
    }
}

impl Rooms {
    /// What an event counts for to a user with these rules; `None`: the default rules. Nothing for
    /// the user's own events.
    ///
    /// # Errors
    /// As [`Rooms::chain`].
    pub async fn verdict(
        &self,
        view: &mut View,
        (room, event): (&RoomInfo, &RoomEvent),
        user_id: &UserId,
        rules: Option<&Ruleset>,
    ) -> Result<Verdict, StorageError> {
        if event.sender == user_id.as_str() {
            return Ok(Verdict::default());
        }
        let Some(facts) = event.facts(room) else {
            return Ok(event.verdict);
        };
        if rules.is_none() && !names(&facts, user_id) {
            return Ok(event.verdict);
        }
        let does = self.actions(view, (room, event), user_id, rules).await?;
        Ok(verdict(&does))
    }

    /// What the first rule that matches does. Conditions see the room's state before the event; how
    /// many are joined is asked of the present, and only for rules that ask it.
    ///
    /// # Errors
    /// As [`Rooms::chain`].
    pub async fn actions(
        &self,
        view: &mut View,
        (room, event): (&RoomInfo, &RoomEvent),
        user_id: &UserId,
        rules: Option<&Ruleset>,
    ) -> Result<Vec<Action>, StorageError> {
        let default;
        let (rules, own) = match rules {
            Some(rules) => (rules, true),
            None => {
                default = Ruleset::server_default(user_id);
                (&default, false)
            }
        };
        let Some(facts) = event.facts(room) else {
            return Ok(Vec::new());
        };
        let asks_name = own && has_condition(rules, is_display_name);
        let asks_power = facts.has_mentions() || (own && has_condition(rules, is_permission));
        let (mut display_name, mut may_notify_room) = (String::new(), false);
        if asks_name || asks_power {
            let chain = self.chain(view, room, event.snapshot_before).await?;
            let key =
                |event_type: &str, state_key: &str| (event_type.to_owned(), state_key.to_owned());
            let keys = [
                key("m.room.create", ""),
                key("m.room.power_levels", ""),
                key("m.room.member", user_id.as_str()),
            ];
            let found = self.state_at_keys(view, room, &chain, keys.clone()).await?;
            let [create, levels, member] = keys.each_ref().map(|key| found.get(key));
            display_name = member.and_then(|member| name(member)).unwrap_or_default();
            may_notify_room = create.is_some_and(|create| {
                may_notify(room, event, create, levels.map(|levels| &**levels))
            });
        }
        let members = if own && needs_members(rules) {
            self.joined_members(view, room).await?
        } else {
            // More than two, as far as the default rules care.
            3
        };
        let onlooker = Onlooker {
            user_id,
            display_name: &display_name,
            members,
            may_notify_room,
        };
        Ok(actions(rules, &facts, &onlooker))
    }

    /// How many are joined now.
    async fn joined_members(&self, view: &mut View, room: &RoomInfo) -> Result<u64, StorageError> {
        let snapshot = view.snapshot().await?;
        let joined = [Membership::Join];
        let counts = state::member_counts(snapshot, room.shard, room.nid, &joined).await?;
        let count = counts.first().map_or(0, |(_, count)| *count);
        Ok(u64::try_from(count).unwrap_or(0))
    }
}

fn has_condition(rules: &Ruleset, wanted: fn(&PushCondition) -> bool) -> bool {
    let mut conditional = rules.override_.iter().chain(&rules.underride);
    conditional.any(|rule| rule.enabled && rule.conditions.iter().any(wanted))
}

fn is_permission(condition: &PushCondition) -> bool {
    matches!(condition, PushCondition::SenderNotificationPermission(_))
}

#[expect(deprecated, reason = "clients may still have rules with it")]
fn is_display_name(condition: &PushCondition) -> bool {
    matches!(condition, PushCondition::ContainsDisplayName)
}

fn name(member: &RoomEvent) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Content {
        displayname: String,
    }
    let content: Content = serde_json::from_slice(&member.content).ok()?;
    Some(content.displayname)
}

fn may_notify(
    room: &RoomInfo,
    event: &RoomEvent,
    create: &RoomEvent,
    levels: Option<&RoomEvent>,
) -> bool {
    let parse = |id: &str| OwnedUserId::try_from(id).ok();
    let raw = |event: &RoomEvent| {
        let content: Option<Box<RawValue>> = serde_json::from_slice(&event.content).ok();
        content
    };
    let (Some(creator), Some(sender)) = (parse(&create.sender), parse(&event.sender)) else {
        return false;
    };
    let Some(create) = raw(create) else {
        return false;
    };
    let levels = levels.and_then(raw);
    let power = Power::new(room.version, &creator, &create, levels.as_deref());
    power.reaches(&sender, power.notification("room"))
}
