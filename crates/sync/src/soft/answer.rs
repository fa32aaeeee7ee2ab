//! What a response tells of soft state.

use std::collections::BTreeMap;
use std::sync::Arc;

use ganglion_model::{Membership, RoomNid};
use ganglion_rooms::filter;
use ganglion_rooms::visibility::membership_at;
use ruma::UserId;

use crate::answer::Pass;
use crate::engine::SyncRequest;
use crate::plan::Plan;
use crate::presence::Asking;
use crate::response::Response;
use crate::users::{RoomList, UserRoom};

/// Whether the filter lets any presence pass.
pub(crate) fn presence_is_wanted(request: &SyncRequest) -> bool {
    let filter = &request.filter.presence;
    filter::accepts_data_type(filter, "m.presence") && filter::data_limit(filter) != Some(0)
}

/// Whether the filter lets typing notices pass. Nobody has sent one, so a list of senders lets none.
pub(crate) fn typing_is_wanted(request: &SyncRequest) -> bool {
    let filter = &request.filter.room.ephemeral;
    filter::accepts_type(filter, "m.typing")
        && filter::accepts_words(filter, "m.typing", "")
        && filter::limit(filter, 1, 1) > 0
}

/// Adds whose presence has changed, and sets the moment's place in it.
pub(crate) fn add_presence(
    pass: &mut Pass<'_>,
    list: &RoomList,
    plans: &BTreeMap<RoomNid, Plan>,
    response: &mut Response,
) {
    let since = pass.since.map(|since| since.presence);
    let presence = &pass.engine.presence;
    if !presence.is_enabled() || !presence_is_wanted(pass.request) {
        pass.moment.presence = since.unwrap_or_default();
        return;
    }
    let is_new = |plan: &Plan| pass.since.is_some() && *plan == Plan::NewlyJoined;
    let new = plans.iter().filter(|(_, plan)| is_new(plan));
    let new_rooms: Vec<RoomNid> = new.map(|(room, _)| *room).collect();
    let joined = |room: &UserRoom| {
        let now = pass.moment.rooms.get(room.info.shard);
        membership_at(&room.changes, now) == Some(Membership::Join)
    };
    let changed = since.is_none_or(|since| presence.has_changed(since));
    let rooms: Vec<RoomNid> = if changed {
        let rooms = list.iter().filter(|(_, room)| joined(room));
        rooms.map(|(room, _)| *room).collect()
    } else {
        Vec::new()
    };
    let wanted = &pass.request.filter.presence;
    let (shown, now) = presence.told(&Asking {
        user: pass.request.user_nid,
        since,
        rooms: &rooms,
        new_rooms: &new_rooms,
        limit: filter::data_limit(wanted).unwrap_or(usize::MAX),
    });
    pass.moment.presence = now;
    for shown in &shown {
        let Ok(user) = <&UserId>::try_from(&*shown.user_id) else {
            continue;
        };
        if filter::accepts_data(wanted, "m.presence", user) && !pass.ignored.has(user.as_str()) {
            response.add_presence(shown);
        }
    }
}

/// Who types in a room of the response, if that is to be told; `changed` is the list if it has changed.
/// Only to who is joined.
pub(crate) fn typing(
    pass: &Pass<'_>,
    room: &UserRoom,
    plan: Plan,
    changed: Option<&Vec<Arc<str>>>,
) -> Option<Vec<Arc<str>>> {
    let wanted = &pass.request.filter.room.ephemeral;
    if !filter::accepts_room_in(wanted, &room.info.id) {
        return None;
    }
    match plan {
        Plan::Joined => changed.cloned(),
        // The client does not know the room: when the list changed does not matter.
        Plan::NewlyJoined if typing_is_wanted(pass.request) => {
            let now = pass.engine.typing.in_room(room.info.nid);
            Some(now).filter(|now| !now.is_empty() || changed.is_some())
        }
        _ => None,
    }
}
