//! A user has come from a room to its replacement: what was said of the one is said of the other
//! (client-server API, "Room upgrades").

use ganglion_cluster::owner::Outcome;
use ganglion_model::{MatrixError, UserNid};
use ganglion_proto::persister::FollowUpgrade;
use serde_json::{Map, Value};

use super::Draft;
use crate::users::facts::{DIRECT, PUSH_RULES};

/// The kinds of push rules with conditions.
const CONDITIONAL: [&str; 2] = ["override", "underride"];

impl Draft {
    pub(super) fn follow_upgrade(
        &mut self,
        user: UserNid,
        follow: &FollowUpgrade,
    ) -> Result<Outcome, MatrixError> {
        let (old, new) = (&follow.old_room, &follow.new_room);
        let (old_nid, new_nid) = (self.known_room(old)?, self.known_room(new)?);
        let before = self.next;
        let mut tags = self.tags(user, new_nid);
        let known = tags.len();
        for (tag, content) in self.tags(user, old_nid) {
            tags.entry(tag).or_insert(content);
        }
        // Full is full: the tags that are there stay.
        if tags.len() > known && self.put_tags(user, new_nid, &tags).is_err() {
            tracing::debug!(room.id = new, "the tags of two rooms are too many for one");
        }
        for (name, carry) in [
            (
                PUSH_RULES,
                carry_rules as fn(&mut Value, &str, &str) -> bool,
            ),
            (DIRECT, carry_direct),
        ] {
            let stored = self.account_data(user, None, name);
            let Some(Ok(mut content)) = stored.map(serde_json::from_slice::<Value>) else {
                continue;
            };
            if carry(&mut content, old, new) {
                self.put_account_data((user, None, name), content.to_string().into_bytes());
            }
        }
        Ok(match self.next == before {
            true => Outcome::Unchanged(self.outcome(String::new())),
            false => self.done(String::new()),
        })
    }
}

/// Adds to the push rules those of the old room for the new one; false if there are none to add.
fn carry_rules(content: &mut Value, old: &str, new: &str) -> bool {
    let mut changed = false;
    let Some(global) = content.get_mut("global").and_then(Value::as_object_mut) else {
        return false;
    };
    for (kind, rules) in global.iter_mut() {
        let Some(rules) = rules.as_array_mut() else {
            continue;
        };
        let of =
            |rule: &Value, room: &str| rule.get("rule_id").and_then(Value::as_str) == Some(room);
        let conditional = CONDITIONAL.contains(&kind.as_str());
        if !(conditional || kind == "room") || rules.iter().any(|rule| of(rule, new)) {
            continue;
        }
        let place = rules.iter().position(|rule| of(rule, old));
        let Some((place, mut rule)) = place.and_then(|at| Some((at, rules.get(at)?.clone())))
        else {
            continue;
        };
        if conditional && !retarget(&mut rule, old, new) {
            continue;
        }
        if let Some(rule) = rule.as_object_mut() {
            rule.insert("rule_id".to_owned(), Value::from(new));
        }
        rules.insert(place, rule);
        changed = true;
    }
    changed
}

/// Points the conditions on the old room to the new one; false if there are none.
fn retarget(rule: &mut Value, old: &str, new: &str) -> bool {
    let mut changed = false;
    let conditions = rule.get_mut("conditions").and_then(Value::as_array_mut);
    for condition in conditions
        .into_iter()
        .flatten()
        .filter_map(Value::as_object_mut)
    {
        let is = |condition: &Map<String, Value>, key: &str, value: &str| {
            condition.get(key).and_then(Value::as_str) == Some(value)
        };
        if is(condition, "key", "room_id") && is(condition, "pattern", old) {
            condition.insert("pattern".to_owned(), Value::from(new));
            changed = true;
        }
    }
    changed
}

/// Adds the new room to the lists of rooms with somebody that the old one is in; false if there are none.
fn carry_direct(content: &mut Value, old: &str, new: &str) -> bool {
    let mut changed = false;
    let lists = content
        .as_object_mut()
        .into_iter()
        .flat_map(Map::values_mut);
    for rooms in lists.filter_map(Value::as_array_mut) {
        let has = |rooms: &[Value], room: &str| rooms.iter().any(|id| id.as_str() == Some(room));
        if has(rooms, old) && !has(rooms, new) {
            rooms.push(Value::from(new));
            changed = true;
        }
    }
    changed
}

#[cfg(test)]
mod tests;
