//! The rules of spaces (client-server API, "Spaces"): what a child is, in which order children come,
//! and in which order a tree of them is walked.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};

use ganglion_event_rules::RoomVersion;
use ganglion_storage::spaces::ChildRecord;
use ruma::RoomId;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::room::RoomInfo;

/// The longest `order` that counts.
const MAX_ORDER: usize = 50;

/// A child of a space, as its `m.space.child` event says.
#[derive(Debug, Clone)]
pub struct Child {
    /// The event's state key.
    pub room_id: String,
    /// The event's sender.
    pub sender: String,
    /// Milliseconds since the epoch.
    pub origin_server_ts: i64,
    /// The event's content.
    pub content: Box<RawValue>,
    /// Whether it is suggested to members of the space.
    pub suggested: bool,
    order: Option<String>,
}

/// A room of a tree.
#[derive(Debug, Clone)]
pub struct SpaceRoom {
    /// Which.
    pub info: RoomInfo,
    /// Its children in their order; none if it is no space.
    pub children: Vec<Child>,
}

impl SpaceRoom {
    /// About what its children take in memory.
    pub(crate) fn bytes(&self) -> usize {
        let children = self.children.iter();
        children.map(|child| 256 + child.content.get().len()).sum()
    }
}

impl Child {
    /// `None` for an event that makes no room a child: its state key is no room id, or it names no
    /// server to join it by.
    pub(crate) fn parse(record: ChildRecord) -> Option<Self> {
        #[derive(Deserialize)]
        struct Content {
            via: Vec<String>,
            #[serde(default)]
            order: Value,
            #[serde(default)]
            suggested: Value,
        }
        RoomId::parse(&record.state_key).ok()?;
        let content: Content = serde_json::from_slice(&record.content).ok()?;
        if content.via.is_empty() {
            return None;
        }
        let order = match content.order {
            Value::String(order) => Some(order),
            _ => None,
        };
        Some(Self {
            room_id: record.state_key,
            sender: record.sender,
            origin_server_ts: record.origin_server_ts,
            content: serde_json::from_slice(&record.content).ok()?,
            suggested: content.suggested == Value::Bool(true),
            order: order.filter(|order| is_valid_order(order)),
        })
    }
}

fn is_valid_order(order: &str) -> bool {
    (1..=MAX_ORDER).contains(&order.len())
        && order.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

/// "Ordering of children within a space".
pub(crate) fn compare(a: &Child, b: &Child) -> Ordering {
    let by_order = match (&a.order, &b.order) {
        (Some(a), Some(b)) => a.cmp(b),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => Ordering::Equal,
    };
    by_order
        .then(a.origin_server_ts.cmp(&b.origin_server_ts))
        .then_with(|| a.room_id.cmp(&b.room_id))
}

/// The ids of the rooms of a tree from its root on, depth first, each once, where it is come to first.
/// `known` are the rooms that may be told of.
pub(crate) fn walk<'a>(
    root: &'a str,
    known: &'a HashMap<String, SpaceRoom>,
    max_depth: usize,
) -> Vec<&'a str> {
    let mut seen = HashSet::new();
    let mut order = Vec::new();
    let mut left = vec![(root, 0)];
    while let Some((room_id, depth)) = left.pop() {
        let Some(room) = known.get(room_id) else {
            continue;
        };
        if !seen.insert(room_id) {
            continue;
        }
        order.push(room_id);
        if depth < max_depth {
            let children = room.children.iter().rev();
            left.extend(children.map(|child| (child.room_id.as_str(), depth + 1)));
        }
    }
    order
}

/// What decides whether somebody is told of a room.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms<'a> {
    pub(crate) version: RoomVersion,
    /// The user's membership, if there is one.
    pub(crate) membership: Option<&'a str>,
    pub(crate) join_rule: &'a str,
    pub(crate) world_readable: bool,
    /// The user is in a room that a restricted join rule allows.
    pub(crate) in_allowed_room: bool,
}

/// Whether the user may be told of a room (`GET /rooms/{roomId}/hierarchy`).
pub(crate) fn is_open(terms: Terms<'_>) -> bool {
    if terms.world_readable {
        return true;
    }
    let rules = &terms.version.rules().authorization;
    match terms.membership {
        Some("join" | "invite") => true,
        Some("ban") => false,
        _ => match terms.join_rule {
            "public" => true,
            "knock" => rules.knocking,
            "knock_restricted" => rules.knock_restricted_join_rule,
            "restricted" => rules.restricted_join_rule && terms.in_allowed_room,
            _ => false,
        },
    }
}

#[cfg(test)]
mod tests;
