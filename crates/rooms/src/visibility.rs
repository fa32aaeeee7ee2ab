//! Who may see which event (client-server API, "Room History Visibility"), as a pure function of
//! what is stored with the event and of the user's own membership changes in the room.

use ganglion_model::{HistoryVisibility, Membership, Position, UserNid};
use ganglion_storage::memberships::MembershipRecord;
use ganglion_storage::relations::Sight;
use serde::Deserialize;

use crate::event::RoomEvent;

/// A user's membership after the log entry at `pos`; `None` if there was none yet.
#[must_use]
pub fn membership_at(changes: &[MembershipRecord], pos: Position) -> Option<Membership> {
    change_at(changes, pos).map(|change| change.membership)
}

/// The change that made a user's membership after the log entry at `pos`.
#[must_use]
pub fn change_at(changes: &[MembershipRecord], pos: Position) -> Option<&MembershipRecord> {
    let count = changes.partition_point(|change| change.pos <= pos);
    changes.get(count.checked_sub(1)?)
}

/// True if `user`, whose membership changes in the room are `changes`, may see the event.
///
/// The user's own invitations, knocks, joins and what ends them are visible whatever the history
/// visibility is: their clients must learn of them.
#[must_use]
pub fn is_visible(event: &RoomEvent, user: UserNid, changes: &[MembershipRecord]) -> bool {
    let Some(pos) = event.pos else { return false };
    let before = membership_at(changes, pos.saturating_sub(1));
    let joined_later = changes
        .iter()
        .any(|change| change.pos >= pos && change.membership == Membership::Join);
    let mut memberships = vec![before];
    if event.target == Some(user) {
        let after = event.membership;
        let told = |m: Option<Membership>| {
            matches!(
                m,
                Some(Membership::Join | Membership::Invite | Membership::Knock)
            )
        };
        if told(before) || told(after) {
            return true;
        }
        memberships.push(after);
    }
    let mut visibilities = vec![event.visibility];
    if event.is_state("m.room.history_visibility", "") {
        visibilities.push(set_visibility(&event.content));
    }
    visibilities.iter().any(|visibility| {
        memberships
            .iter()
            .any(|membership| allows(*visibility, *membership, joined_later))
    })
}

/// What [`is_visible`] says of messages, in the form in which the database can say it, too.
#[must_use]
pub fn sight(changes: &[MembershipRecord]) -> Sight {
    // An event is judged by the membership before it: a change counts from the next position on.
    let ends = changes.iter().skip(1).map(|next| Some(next.pos));
    let stretches = || changes.iter().zip(ends.clone().chain([None]));
    let range = |after: Position, up_to: Option<Position>| match up_to {
        Some(up_to) => format!("({after},{up_to}]"),
        None => format!("({after},)"),
    };
    let of = |memberships: &[Membership]| -> Vec<String> {
        stretches()
            .filter(|(change, _)| memberships.contains(&change.membership))
            .map(|(change, end)| range(change.pos, end))
            .collect()
    };
    let joined = of(&[Membership::Join]);
    let mut shared = joined.clone();
    let mut joins = changes
        .iter()
        .filter(|change| change.membership == Membership::Join);
    if let Some(last) = joins.next_back() {
        shared.push(format!("(,{}]", last.pos));
    }
    let text = |ranges: &[String]| format!("{{{}}}", ranges.join(","));
    Sight {
        joined: text(&joined),
        invited: text(&of(&[Membership::Join, Membership::Invite])),
        shared: text(&shared),
    }
}

/// The five rules of "Server behaviour".
fn allows(
    visibility: HistoryVisibility,
    membership: Option<Membership>,
    joined_later: bool,
) -> bool {
    match visibility {
        HistoryVisibility::WorldReadable => true,
        HistoryVisibility::Shared => membership == Some(Membership::Join) || joined_later,
        HistoryVisibility::Invited => {
            matches!(membership, Some(Membership::Join | Membership::Invite))
        }
        HistoryVisibility::Joined => membership == Some(Membership::Join),
    }
}

#[derive(Deserialize)]
struct Content {
    history_visibility: Option<String>,
}

/// The history visibility that the content of such an event sets.
#[must_use]
pub fn set_visibility(content: &[u8]) -> HistoryVisibility {
    serde_json::from_slice::<Content>(content)
        .ok()
        .and_then(|content| content.history_visibility)
        .map_or(HistoryVisibility::default(), |text| {
            HistoryVisibility::parse(&text)
        })
}

#[cfg(test)]
mod tests;
