//! What of a page the user has read.

use std::collections::{BTreeMap, HashMap};

use ganglion_model::{Membership, Position, RoomNid, Shard};
use ganglion_storage::StorageError;
use ganglion_storage::memberships::MembershipRecord;
use ganglion_storage::notifications;
use ganglion_storage::receipts::{self, ReceiptKey, ReceiptKind};

use super::pass::Pass;
use crate::view::View;

/// A room and the root of a thread; `""`: the main timeline.
type Part = (RoomNid, String);

/// Marks those of the page that the user has read.
pub(super) async fn mark(view: &mut View, pass: &mut Pass<'_>) -> Result<(), StorageError> {
    // By part: the oldest position on the page.
    let mut parts: BTreeMap<Shard, BTreeMap<Part, Position>> = BTreeMap::new();
    let mut read: HashMap<Part, Position> = HashMap::new();
    for notification in &pass.list.notifications {
        let Some((room, changes)) = pass.list.rooms.get(&notification.room) else {
            continue;
        };
        let pos = notification.event.pos.unwrap_or(0);
        let part = (
            room.nid,
            notification.event.thread.clone().unwrap_or_default(),
        );
        read.insert(part.clone(), since(changes));
        let oldest = parts.entry(room.shard).or_default().entry(part);
        let oldest = oldest.or_insert(pos);
        *oldest = pos.min(*oldest);
    }
    for (shard, parts) in &parts {
        for (part, pos) in places(view, pass, *shard, parts).await? {
            let known = read.entry(part).or_insert(pos);
            *known = pos.max(*known);
        }
    }
    let list = &mut pass.list;
    for notification in &mut list.notifications {
        let Some((room, _)) = list.rooms.get(&notification.room) else {
            continue;
        };
        let part = (
            room.nid,
            notification.event.thread.clone().unwrap_or_default(),
        );
        let up_to = read.get(&part).copied().unwrap_or(Position::MIN);
        notification.read = notification.event.pos.is_some_and(|pos| pos <= up_to);
    }
    Ok(())
}

/// Up to where parts of a shard's rooms are read, by receipts and by own events.
async fn places(
    view: &mut View,
    pass: &Pass<'_>,
    shard: Shard,
    parts: &BTreeMap<Part, Position>,
) -> Result<Vec<(Part, Position)>, StorageError> {
    let user_nid = pass.request.viewer.user_nid;
    let mut keys: BTreeMap<ReceiptKey, Vec<&Part>> = BTreeMap::new();
    for part in parts.keys() {
        let threaded = if part.1.is_empty() { "main" } else { &part.1 };
        for kind in [ReceiptKind::Read, ReceiptKind::Private] {
            for thread in ["", threaded] {
                let key = ReceiptKey {
                    room_nid: part.0,
                    user_nid,
                    kind,
                    thread: thread.to_owned(),
                };
                keys.entry(key).or_default().push(part);
            }
        }
    }
    let snapshot = view.snapshot().await?;
    let asked: Vec<ReceiptKey> = keys.keys().cloned().collect();
    let mut found = Vec::new();
    for (key, pos) in receipts::places(snapshot, shard, &asked).await? {
        let of_key = keys.get(&key).into_iter().flatten();
        found.extend(of_key.map(|part| ((*part).clone(), pos)));
    }
    let asked: Vec<(RoomNid, &str, Position)> = parts
        .iter()
        .map(|((room, thread), oldest)| (*room, thread.as_str(), *oldest))
        .collect();
    for (index, pos) in notifications::last_own(snapshot, shard, user_nid, &asked).await? {
        if let Some((room, thread, _)) = asked.get(index) {
            found.push(((*room, (*thread).to_owned()), pos));
        }
    }
    Ok(found)
}

/// Since when the user is in the room: what was before is read.
fn since(changes: &[MembershipRecord]) -> Position {
    let joined = |change: &&MembershipRecord| change.membership == Membership::Join;
    let stay = changes.iter().rev().take_while(joined);
    stay.last().map_or(Position::MIN, |first| first.pos)
}
