//! The state events that go with a timeline.

use std::collections::HashSet;
use std::sync::Arc;

use ganglion_model::{EventNid, SlotNid};
use ganglion_rooms::{RoomEvent, filter};
use ganglion_state_deltas::Chain;
use ganglion_storage::StorageError;
use ganglion_storage::state::Wanted;

use crate::answer::Pass;
use crate::plan::Base;
use crate::section::Stretch;
use crate::timeline::Timeline;

/// The state at the start of the timeline (or, with `use_state_after`, at its end), as far as the
/// client does not know it, after the filter.
pub(crate) async fn events(
    pass: &mut Pass<'_>,
    stretch: &Stretch<'_>,
    timeline: &Timeline,
    heroes: &[String],
) -> Result<Vec<Arc<RoomEvent>>, StorageError> {
    let wanted = &pass.request.filter.room.state;
    if !filter::accepts_room_in(wanted, &stretch.room.info.id) {
        return Ok(Vec::new());
    }
    let is_lazy = filter::is_lazy(wanted);
    let mut events = match stretch.base {
        Base::Nothing => Vec::new(),
        Base::Whole => whole(pass, stretch, timeline, is_lazy.then_some(heroes)).await?,
        Base::Since(_) => {
            let mut events = changed(pass, stretch, timeline).await?;
            if is_lazy {
                add_members(pass, stretch, timeline, (heroes, &mut events)).await?;
            }
            events
        }
    };
    events.retain(|event| filter::accepts(wanted, event));
    if is_lazy {
        let members = events.iter().filter(|event| event.membership.is_some());
        pass.members.extend(members.map(|event| event.nid));
    }
    Ok(events)
}

/// All of the state; with lazy loading (`heroes`) only the members that are needed.
async fn whole(
    pass: &mut Pass<'_>,
    stretch: &Stretch<'_>,
    timeline: &Timeline,
    heroes: Option<&[String]>,
) -> Result<Vec<Arc<RoomEvent>>, StorageError> {
    let engine = pass.engine;
    let info = &stretch.room.info;
    let at = place(pass, stretch, timeline);
    let chain = engine.rooms.state_at(&mut pass.view, info, at).await?;
    let all = chain
        .to_map()
        .map_err(|needs| StorageError::inconsistent(needs.to_string()))?;
    let nids: Vec<EventNid> = all.into_values().collect();
    let Some(heroes) = heroes else {
        return engine
            .rooms
            .state_events(&mut pass.view, info, nids, Wanted::All)
            .await;
    };
    let mut members = member_keys(timeline, heroes);
    members.push(member_key(pass.request.user_id.as_str()));
    let slots = engine.rooms.slots(&mut pass.view, members).await?;
    let slots: Vec<SlotNid> = slots.into_values().collect();
    let wanted = Wanted::WithoutMembersBut(&slots);
    engine
        .rooms
        .state_events(&mut pass.view, info, nids, wanted)
        .await
}

/// What has changed between the token and the place of the state.
async fn changed(
    pass: &mut Pass<'_>,
    stretch: &Stretch<'_>,
    timeline: &Timeline,
) -> Result<Vec<Arc<RoomEvent>>, StorageError> {
    let Base::Since(since) = stretch.base else {
        return Ok(Vec::new());
    };
    let is_same = if pass.request.use_state_after {
        !timeline.state_changed
    } else {
        !timeline.skipped
    };
    if is_same {
        return Ok(Vec::new());
    }
    let engine = pass.engine;
    let info = &stretch.room.info;
    let old = engine.rooms.state_at(&mut pass.view, info, since).await?;
    let at = place(pass, stretch, timeline);
    let new = engine.rooms.state_at(&mut pass.view, info, at).await?;
    if old.head() == new.head() {
        return Ok(Vec::new());
    }
    let changes =
        Chain::diff(&old, &new).map_err(|needs| StorageError::inconsistent(needs.to_string()))?;
    let nids = changes
        .into_iter()
        .filter_map(|change| change.new)
        .collect();
    engine
        .rooms
        .state_events(&mut pass.view, info, nids, Wanted::All)
        .await
}

/// Adds the member events of the timeline's senders and of `heroes`, without those the client has.
async fn add_members(
    pass: &mut Pass<'_>,
    stretch: &Stretch<'_>,
    timeline: &Timeline,
    (heroes, events): (&[String], &mut Vec<Arc<RoomEvent>>),
) -> Result<(), StorageError> {
    let keys = member_keys(timeline, heroes);
    if keys.is_empty() {
        return Ok(());
    }
    let snapshot = if pass.request.use_state_after {
        // The last event that is shown may not be the last.
        let last = timeline.events.last().filter(|_| !timeline.state_changed);
        last.map(|event| event.snapshot_after)
    } else {
        timeline.events.first().map(|event| event.snapshot_before)
    };
    let engine = pass.engine;
    let info = &stretch.room.info;
    let chain = match snapshot {
        Some(snapshot) => engine.rooms.chain(&mut pass.view, info, snapshot).await?,
        None => {
            let at = place(pass, stretch, timeline);
            engine.rooms.state_at(&mut pass.view, info, at).await?
        }
    };
    let members = engine
        .rooms
        .state_at_keys(&mut pass.view, info, &chain, keys)
        .await?;
    // A client that had to drop its timeline may have dropped members with it.
    let redundant_too =
        timeline.limited || filter::wants_redundant_members(&pass.request.filter.room.state);
    let known: HashSet<EventNid> = events.iter().map(|event| event.nid).collect();
    let mut members: Vec<Arc<RoomEvent>> = members
        .into_values()
        .filter(|member| !known.contains(&member.nid))
        .filter(|member| redundant_too || !pass.known.contains(&member.nid))
        .collect();
    members.sort_by_key(|member| (member.pos, member.nid));
    events.extend(members);
    Ok(())
}

/// The place whose state is told.
fn place(pass: &Pass<'_>, stretch: &Stretch<'_>, timeline: &Timeline) -> ganglion_model::Position {
    if pass.request.use_state_after {
        stretch.range.up_to
    } else {
        timeline.start
    }
}

fn member_keys(timeline: &Timeline, heroes: &[String]) -> Vec<(String, String)> {
    let senders = timeline.events.iter().map(|event| event.sender.as_str());
    let users: HashSet<&str> = senders.chain(heroes.iter().map(String::as_str)).collect();
    users.into_iter().map(member_key).collect()
}

fn member_key(user_id: &str) -> (String, String) {
    ("m.room.member".to_owned(), user_id.to_owned())
}
