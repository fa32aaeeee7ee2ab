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
