use ganglion_model::EventNid;

use super::*;

fn changes(list: &[(Position, Membership)]) -> Vec<MembershipRecord> {
    list.iter()
        .map(|(pos, membership)| MembershipRecord {
            pos: *pos,
            membership: *membership,
            event_nid: EventNid(*pos),
        })
        .collect()
}

#[test]
fn access_follows_the_last_stay() {
    use Membership::{Ban, Invite, Join, Leave};
    assert_eq!(by_membership(&changes(&[])), None);
    assert_eq!(by_membership(&changes(&[(1, Invite)])), None);
    assert_eq!(by_membership(&changes(&[(1, Invite), (2, Leave)])), None);
    assert_eq!(
        by_membership(&changes(&[(1, Invite), (2, Join)])),
        Some(Access::Joined)
    );
    let left = changes(&[(1, Join), (4, Leave), (6, Invite), (7, Ban)]);
    assert_eq!(by_membership(&left), Some(Access::Left(4)));
    let twice = changes(&[(1, Join), (4, Leave), (6, Join), (9, Ban)]);
    assert_eq!(by_membership(&twice), Some(Access::Left(9)));
}
