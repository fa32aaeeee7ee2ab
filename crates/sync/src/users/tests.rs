use ganglion_model::{EventNid, Membership, Shard};

use super::*;

#[test]
fn changes_are_added_once_and_in_order() {
    let room = RoomNid(1);
    let info = RoomInfo::new(room, "!r:x", Shard::new(3).unwrap(), "12").unwrap();
    let mut list = RoomList::new();
    for pos in [4, 2, 4, 9] {
        let change = MembershipRecord {
            pos,
            membership: Membership::Join,
            event_nid: EventNid(pos),
        };
        add(&mut list, info.clone(), change);
    }
    let positions: Vec<_> = list[&room]
        .changes
        .iter()
        .map(|change| change.pos)
        .collect();
    assert_eq!(positions, vec![2, 4, 9]);
}

#[test]
fn what_is_forgotten_stays_away_and_what_comes_later_counts() {
    let room = RoomNid(1);
    let info = RoomInfo::new(room, "!r:x", Shard::new(3).unwrap(), "12").unwrap();
    let change = |pos, membership| MembershipRecord {
        pos,
        membership,
        event_nid: EventNid(pos),
    };
    let mut list = RoomList::new();
    add(&mut list, info.clone(), change(2, Membership::Join));
    // The user's log is ahead of the room's: the leaving comes behind.
    assert!(!forget(&mut list, RoomNid(2), 4));
    assert!(forget(&mut list, room, 4));
    assert!(list[&room].changes.is_empty());
    add(&mut list, info.clone(), change(4, Membership::Leave));
    assert!(list[&room].changes.is_empty());
    add(&mut list, info, change(7, Membership::Invite));
    assert_eq!(list[&room].changes, vec![change(7, Membership::Invite)]);
    assert!(forget(&mut list, room, 3));
    assert_eq!(list[&room].changes.len(), 1);
    assert_eq!(list[&room].forgotten, Some(4));
}
