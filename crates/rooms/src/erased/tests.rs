use ganglion_model::EventNid;
use serde_json::json;

use super::*;
use crate::event::tests::event;

fn member(pos: i64, sender: &str, membership: Membership) -> RoomEvent {
    let mut event = event(pos, "m.room.member", sender, json!({}));
    event.state_key = Some(sender.to_owned());
    event.membership = Some(membership);
    event
}

#[test]
fn who_is_active_after_the_user_came_was_not_erased_before() {
    let changes = [MembershipRecord {
        pos: 5,
        membership: Membership::Join,
        event_nid: EventNid(5),
    }];
    let joined = member(1, "@b:x", Membership::Join);
    let renamed = member(6, "@b:x", Membership::Join);
    let left = member(7, "@b:x", Membership::Leave);
    let earlier = member(4, "@b:x", Membership::Join);
    let asked = |events: &[&RoomEvent], changes: &[MembershipRecord]| {
        maybe_erased(changes, events.iter().copied()).len()
    };
    assert_eq!(asked(&[&renamed, &joined], &changes), 0);
    assert_eq!(asked(&[&left, &joined], &changes), 1);
    assert_eq!(asked(&[&earlier, &joined], &changes), 1);
    assert_eq!(asked(&[&renamed, &joined], &[]), 1, "who never came in");
}
