use ganglion_model::{Counts, EventNid, UserNid, Verdict};
use ganglion_storage::memberships::MembershipRecord;

use super::*;

fn room(nid: i64, shard: i64, changes: &[(Position, Membership)]) -> RoomOfUser {
    let changes = changes.iter().map(|(pos, membership)| MembershipRecord {
        pos: *pos,
        membership: *membership,
        event_nid: EventNid(*pos),
    });
    RoomOfUser {
        room_nid: RoomNid(nid),
        room_id: format!("!{nid}:localhost"),
        shard: Shard::new(shard).unwrap(),
        version: "11".to_owned(),
        changes: changes.collect(),
        forgotten: None,
    }
}

fn candidate(pos: Position, ts: i64) -> Candidate {
    Candidate {
        stretch: 0,
        pos,
        event_nid: EventNid(pos),
        origin_server_ts: ts,
        sender: UserNid(1),
        default: Verdict::default(),
        difference: Counts::default(),
    }
}

fn heads() -> Vector {
    Vector([100; ROOM_SHARDS as usize])
}

#[test]
fn stays_and_open_invitations_are_walked() {
    use Membership::{Invite, Join, Leave};
    let rooms = [
        room(
            1,
            0,
            &[(5, Invite), (7, Join), (9, Join), (20, Leave), (30, Join)],
        ),
        room(2, 1, &[(5, Join), (8, Leave), (11, Invite)]),
        room(3, 2, &[(5, Join), (8, Leave)]),
        room(4, 3, &[]),
    ];
    let walk = Walk::new(&rooms, heads());
    let found: Vec<_> = walk
        .stretches
        .iter()
        .map(|stretch| (stretch.room, stretch.rest.after, stretch.rest.up_to))
        .collect();
    assert_eq!(found, [(0, 7, 19), (0, 30, 100), (1, 10, 11)]);
}

#[test]
fn logs_are_walked_by_position_and_merged_by_time() {
    let join = [(1, Membership::Join)];
    let rooms = [room(1, 0, &join), room(2, 0, &join), room(3, 1, &join)];
    let mut walk = Walk::new(&rooms, heads());
    assert_eq!(walk.wanted(), [0, 1, 2]);
    // A clock that lies does not change the order of a log.
    walk.read(0, vec![candidate(50, 500), candidate(40, 900)], 2);
    walk.read(1, vec![candidate(45, 450)], 2);
    walk.read(2, vec![candidate(90, 470)], 2);
    let mut order = Vec::new();
    while walk.wanted().is_empty() {
        order.push(walk.next().unwrap().1.pos);
    }
    assert_eq!(order, [50, 90, 45, 40]);
    // More of the first room may follow; the others are at their ends.
    assert_eq!(walk.wanted(), [0]);
    assert_eq!(
        walk.stretches[0].rest,
        Range {
            after: 1,
            up_to: 39
        }
    );
    walk.read(0, Vec::new(), 2);
    assert!(walk.wanted().is_empty() && walk.next().is_none());
    assert_eq!(walk.at.0[..3], [39, 89, 100]);
}
