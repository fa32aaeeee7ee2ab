use ganglion_model::EventNid;
use serde_json::json;

use super::*;
use crate::event::tests::event;
use HistoryVisibility::{Invited, Joined, Shared, WorldReadable};
use Membership::{Ban, Invite, Join, Leave};

const USER: UserNid = UserNid(7);

fn changes(list: &[(Position, Membership)]) -> Vec<MembershipRecord> {
    list.iter()
        .map(|(pos, membership)| MembershipRecord {
            pos: *pos,
            membership: *membership,
            event_nid: EventNid(*pos),
        })
        .collect()
}

/// Which of the positions 1..=9 are visible under one history visibility.
fn visible_at(visibility: HistoryVisibility, list: &[(Position, Membership)]) -> Vec<Position> {
    let changes = changes(list);
    (1..=9)
        .filter(|pos| {
            let mut message = event(*pos, "m.room.message", "@a:x", json!({}));
            message.visibility = visibility;
            is_visible(&message, USER, &changes)
        })
        .collect()
}

#[test]
fn the_table_of_the_spec() {
    let stay = [(3, Invite), (5, Join), (8, Leave)];
    let all: Vec<Position> = (1..=9).collect();
    assert_eq!(visible_at(WorldReadable, &stay), all);
    assert_eq!(visible_at(WorldReadable, &[]), all);
    // The entry at 8 is the leaving: an event there is judged by the membership before it.
    assert_eq!(visible_at(Shared, &stay), vec![1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(visible_at(Invited, &stay), vec![4, 5, 6, 7, 8]);
    assert_eq!(visible_at(Joined, &stay), vec![6, 7, 8]);
    for visibility in [Shared, Invited, Joined] {
        assert_eq!(visible_at(visibility, &[]), Vec::<Position>::new());
        assert_eq!(visible_at(visibility, &[(3, Ban)]), Vec::<Position>::new());
    }
    assert_eq!(visible_at(Shared, &[(3, Invite)]), Vec::<Position>::new());
    assert_eq!(visible_at(Invited, &[(3, Invite)]), vec![4, 5, 6, 7, 8, 9]);
    let twice = [(2, Join), (4, Leave), (7, Join)];
    assert_eq!(visible_at(Shared, &twice), all);
    assert_eq!(visible_at(Joined, &twice), vec![3, 4, 8, 9]);
}

#[test]
fn a_change_of_the_visibility_is_seen_from_both_sides() {
    let mut change = event(
        4,
        "m.room.history_visibility",
        "@a:x",
        json!({"history_visibility": "joined"}),
    );
    change.state_key = Some(String::new());
    change.visibility = WorldReadable;
    assert!(is_visible(&change, USER, &[]));
    change.visibility = Joined;
    assert!(!is_visible(&change, USER, &[]));
    change.content = json!({"history_visibility": "world_readable"})
        .to_string()
        .into();
    assert!(is_visible(&change, USER, &[]));
}

#[test]
fn own_membership_events_are_seen_from_both_sides() {
    let own = |pos, membership| {
        let mut own = event(pos, "m.room.member", "@a:x", json!({}));
        own.visibility = Joined;
        own.target = Some(USER);
        own.membership = Some(membership);
        own
    };
    let stay = changes(&[(3, Invite), (5, Join), (8, Leave), (9, Ban)]);
    assert!(is_visible(&own(3, Invite), USER, &stay));
    assert!(is_visible(&own(5, Join), USER, &stay));
    assert!(is_visible(&own(8, Leave), USER, &stay));
    assert!(!is_visible(&own(9, Ban), USER, &stay));
    let rejected = changes(&[(3, Invite), (4, Leave)]);
    assert!(is_visible(&own(4, Leave), USER, &rejected));
    let mut other = own(4, Leave);
    other.target = Some(UserNid(8));
    assert!(!is_visible(&other, USER, &rejected));
}

#[test]
fn what_is_not_in_the_timeline_is_not_visible() {
    let mut outlier = event(1, "m.room.message", "@a:x", json!({}));
    outlier.pos = None;
    outlier.visibility = WorldReadable;
    assert!(!is_visible(&outlier, USER, &changes(&[(1, Join)])));
}

#[test]
fn the_database_sees_the_same() {
    // A multirange as PostgreSQL reads it.
    let holds = |text: &str, pos: Position| {
        let inner = text.strip_prefix('{').and_then(|t| t.strip_suffix('}'));
        let ranges = inner.unwrap().split("],").flat_map(|part| part.split("),"));
        ranges.filter(|range| !range.is_empty()).any(|range| {
            let (after, up_to) = range.split_once(',').unwrap();
            let number = |text: &str| {
                let text = text.trim_matches(['(', ')', '[', ']']);
                (!text.is_empty()).then(|| text.parse::<Position>().unwrap())
            };
            number(after).is_none_or(|after| pos > after)
                && number(up_to).is_none_or(|up_to| pos <= up_to)
        })
    };
    let lists: [&[(Position, Membership)]; 7] = [
        &[],
        &[(1, Join)],
        &[(3, Ban)],
        &[(3, Invite), (5, Join), (8, Leave)],
        &[(2, Join), (4, Leave), (7, Join)],
        &[(2, Join), (3, Join), (4, Leave), (6, Invite)],
        &[(4, Invite), (6, Leave)],
    ];
    for list in lists {
        let sight = sight(&changes(list));
        for (visibility, text) in [
            (Shared, &sight.shared),
            (Invited, &sight.invited),
            (Joined, &sight.joined),
        ] {
            let found: Vec<Position> = (1..=9).filter(|pos| holds(text, *pos)).collect();
            assert_eq!(found, visible_at(visibility, list), "{list:?} {text}");
        }
    }
}
