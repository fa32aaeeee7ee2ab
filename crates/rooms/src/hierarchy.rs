//! Reading the tree of a space.

use std::collections::{HashMap, HashSet};

use ganglion_model::HistoryVisibility;
use ganglion_storage::{StorageError, directory, spaces};
use ruma::UserId;
use serde_json::Value;
use tokio::sync::Semaphore;

use crate::entry::allowed_rooms;
use crate::room::{RoomInfo, Rooms};
use crate::space::{Child, SpaceRoom, Terms, compare, is_open, walk};
use crate::view::View;
use crate::visibility::set_visibility;

/// How deep a tree is read.
pub const MOST_DEPTH: usize = 16;
/// Rooms of a tree, those that are left out included; what lies beyond is left out, too.
const MOST_ROOMS: usize = 1_000;
/// Bytes of the children of all its rooms.
const MOST_BYTES: usize = 4 * 1024 * 1024;
/// Children of one room, and the size of each.
const MOST_CHILDREN_OF_ROOM: i64 = 500;
const MAX_CHILD_BYTES: i32 = 2_048;
/// Rooms that are read at once.
const AT_ONCE: usize = 10;
/// Trees that are read at once in a process: with the bounds above, that bounds the memory.
static TURNS: Semaphore = Semaphore::const_new(8);

const CREATE: &str = "m.room.create";
const JOIN_RULES: &str = "m.room.join_rules";
const VISIBILITY: &str = "m.room.history_visibility";
const MEMBER: &str = "m.room.member";

/// Some of a room's state: content by type.
type Contents = HashMap<&'static str, Value>;

/// What of a tree is wanted.
#[derive(Debug, Clone, Copy)]
pub struct Tree<'a> {
    /// Where it begins.
    pub root: &'a str,
    /// Who asks.
    pub user: &'a UserId,
    /// How deep to go, at most [`MOST_DEPTH`].
    pub max_depth: usize,
    /// Whether only children that are suggested count.
    pub suggested_only: bool,
}

impl Rooms {
    /// The rooms of a tree that the user may be told of, depth first, each once; none if the root is
    /// not among them.
    ///
    /// # Errors
    /// As [`View::snapshot`].
    pub async fn space_tree(
        &self,
        view: &mut View,
        tree: Tree<'_>,
    ) -> Result<Vec<SpaceRoom>, StorageError> {
        let max_depth = tree.max_depth.min(MOST_DEPTH);
        let mut known: HashMap<String, SpaceRoom> = HashMap::new();
        let mut seen: HashSet<String> = HashSet::from([tree.root.to_owned()]);
        let mut level = vec![tree.root.to_owned()];
        let mut bytes = 0;
        // It is never closed.
        let _turn = TURNS.acquire().await.ok();
        // Level by level: a walk, depth first, comes to no room that is not within the depth this way.
        for depth in 0..=max_depth {
            let rooms = self.space_level(view, &level, tree).await?;
            let mut next = Vec::new();
            for room in rooms {
                let children = room.children.iter().map(|child| &child.room_id);
                // What is not within the depth is not looked at; nor is what is too much.
                for child in children.filter(|_| depth < max_depth) {
                    if seen.len() < MOST_ROOMS && seen.insert(child.clone()) {
                        next.push(child.clone());
                    }
                }
                bytes += room.bytes();
                known.insert(room.info.id.to_string(), room);
            }
            if bytes > MOST_BYTES {
                break;
            }
            level = next;
        }
        let order = walk(tree.root, &known, max_depth).into_iter();
        let order: Vec<String> = order.map(str::to_owned).collect();
        Ok(order
            .into_iter()
            .filter_map(|room_id| known.remove(&room_id))
            .collect())
    }

    /// The rooms of one level that the user may be told of, with their children.
    async fn space_level(
        &self,
        view: &mut View,
        ids: &[String],
        tree: Tree<'_>,
    ) -> Result<Vec<SpaceRoom>, StorageError> {
        let mut rooms = Vec::new();
        let mut bytes = 0;
        for ids in ids.chunks(AT_ONCE) {
            if bytes > MOST_BYTES {
                break;
            }
            let found = self.space_rooms(view, ids, tree).await?;
            bytes += found.iter().map(SpaceRoom::bytes).sum::<usize>();
            rooms.extend(found);
        }
        Ok(rooms)
    }

    /// The same of a few rooms.
    async fn space_rooms(
        &self,
        view: &mut View,
        ids: &[String],
        tree: Tree<'_>,
    ) -> Result<Vec<SpaceRoom>, StorageError> {
        let rooms = self.find_all(view, ids.iter().map(String::as_str)).await?;
        let rooms: Vec<RoomInfo> = rooms.into_values().collect();
        let types = [CREATE, JOIN_RULES, VISIBILITY, MEMBER];
        let states = self.contents_of(view, &rooms, tree.user, &types).await?;
        let joined = self
            .joined_allowed(view, states.values(), tree.user)
            .await?;
        let mut open = HashMap::new();
        for info in rooms {
            let Some(contents) = states.get(&*info.id) else {
                continue;
            };
            if is_open(terms(&info, contents, &joined)) {
                let is_space = text(contents, CREATE, "type") == Some("m.space");
                open.insert(info.nid, (info, is_space, Vec::new()));
            }
        }
        let spaces: Vec<_> = open
            .values()
            .filter(|(_, is_space, _)| *is_space)
            .map(|(info, ..)| (info.shard, info.nid))
            .collect();
        if !spaces.is_empty() {
            let bounds = (MAX_CHILD_BYTES, MOST_CHILDREN_OF_ROOM);
            for record in spaces::children(view.snapshot().await?, &spaces, bounds).await? {
                let room = open.get_mut(&record.room_nid);
                let child =
                    Child::parse(record).filter(|child| child.suggested || !tree.suggested_only);
                if let (Some((.., children)), Some(child)) = (room, child) {
                    children.push(child);
                }
            }
        }
        Ok(open
            .into_values()
            .map(|(info, _, mut children)| {
                children.sort_by(compare);
                SpaceRoom { info, children }
            })
            .collect())
    }

    /// The ids of those rooms that restricted join rules allow in which the user is.
    async fn joined_allowed(
        &self,
        view: &mut View,
        states: impl Iterator<Item = &Contents>,
        user: &UserId,
    ) -> Result<HashSet<String>, StorageError> {
        let rules = states.filter_map(|contents| contents.get(JOIN_RULES));
        let allowed: HashSet<String> = rules.cloned().flat_map(allowed_rooms).collect();
        if allowed.is_empty() {
            return Ok(HashSet::new());
        }
        let rooms = self
            .find_all(view, allowed.iter().map(String::as_str))
            .await?;
        let rooms: Vec<RoomInfo> = rooms.into_values().collect();
        let states = self.contents_of(view, &rooms, user, &[MEMBER]).await?;
        let joined = states
            .into_iter()
            .filter(|(_, contents)| membership(contents) == Some("join"));
        Ok(joined.map(|(room_id, _)| room_id).collect())
    }

    /// Some of the current state of rooms: of these types, with empty state keys but for the user's
    /// own member event. A room without any of it is left out.
    async fn contents_of(
        &self,
        view: &mut View,
        rooms: &[RoomInfo],
        user: &UserId,
        types: &[&'static str],
    ) -> Result<HashMap<String, Contents>, StorageError> {
        let key = |name: &str| {
            let state_key = if name == MEMBER { user.as_str() } else { "" };
            (name.to_owned(), state_key.to_owned())
        };
        let slots = self.slots(view, types.iter().map(|name| key(name))).await?;
        let names: HashMap<_, &'static str> = types
            .iter()
            .filter_map(|name| Some((*slots.get(&key(name))?, *name)))
            .collect();
        let slots: Vec<_> = names.keys().copied().collect();
        let places: Vec<_> = rooms.iter().map(|room| (room.shard, room.nid)).collect();
        let ids: HashMap<_, _> = rooms.iter().map(|room| (room.nid, &room.id)).collect();
        let mut states: HashMap<String, Contents> = HashMap::new();
        let snapshot = view.snapshot().await?;
        for (room, slot, content) in directory::contents(snapshot, &places, &slots).await? {
            let (Some(id), Some(name)) = (ids.get(&room), names.get(&slot)) else {
                continue;
            };
            let content = serde_json::from_slice(&content).unwrap_or_default();
            states
                .entry(id.to_string())
                .or_default()
                .insert(name, content);
        }
        Ok(states)
    }
}

fn text<'a>(contents: &'a Contents, event_type: &str, key: &str) -> Option<&'a str> {
    contents.get(event_type)?.get(key)?.as_str()
}

fn membership(contents: &Contents) -> Option<&str> {
    text(contents, MEMBER, "membership")
}

fn terms<'a>(info: &RoomInfo, contents: &'a Contents, joined: &HashSet<String>) -> Terms<'a> {
    let rules = contents.get(JOIN_RULES).cloned().unwrap_or_default();
    let visibility = contents.get(VISIBILITY).cloned().unwrap_or_default();
    Terms {
        version: info.version,
        membership: membership(contents),
        join_rule: text(contents, JOIN_RULES, "join_rule").unwrap_or("invite"),
        world_readable: set_visibility(visibility.to_string().as_bytes())
            == HistoryVisibility::WorldReadable,
        in_allowed_room: allowed_rooms(rules)
            .iter()
            .any(|room| joined.contains(room)),
    }
}
