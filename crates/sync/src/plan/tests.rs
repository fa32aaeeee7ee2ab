use Membership::{Ban, Invite, Join, Knock, Leave};

use super::*;

const MIN: Position = Position::MIN;

fn records(list: &[(Position, Membership)]) -> Vec<MembershipRecord> {
    let record = |(pos, membership): &(Position, Membership)| MembershipRecord {
        pos: *pos,
        membership: *membership,
        event_nid: EventNid(*pos),
    };
    list.iter().map(record).collect()
}

fn planned(list: &[(Position, Membership)], since: Option<Position>, include_leave: bool) -> Plan {
    plan(
        &records(list),
        Asked {
            since,
            now: 100,
            include_leave,
            full_state: false,
        },
    )
}

fn left(after: Position, up_to: Position, base: Base) -> Plan {
    Plan::Left(Range { after, up_to }, base)
}

#[test]
fn without_a_token() {
    assert_eq!(planned(&[], None, true), Plan::Nothing);
    assert_eq!(planned(&[(5, Join)], None, false), Plan::NewlyJoined);
    assert_eq!(
        planned(&[(5, Invite)], None, false),
        Plan::Invite(EventNid(5))
    );
    assert_eq!(
        planned(&[(5, Knock)], None, false),
        Plan::Knock(EventNid(5))
    );
    assert_eq!(
        planned(&[(5, Join), (8, Leave)], None, false),
        Plan::Nothing
    );
    assert_eq!(
        planned(&[(5, Join), (8, Leave)], None, true),
        left(MIN, 8, Base::Whole)
    );
    assert_eq!(
        planned(&[(5, Invite), (8, Leave)], None, true),
        Plan::Nothing
    );
    // What lies beyond the response is not there yet.
    assert_eq!(
        planned(&[(5, Join), (101, Leave)], None, false),
        Plan::NewlyJoined
    );
    assert_eq!(planned(&[(101, Join)], None, false), Plan::Nothing);
}

#[test]
fn a_stay_that_lasts() {
    assert_eq!(planned(&[(5, Join)], Some(5), false), Plan::Joined);
    assert_eq!(
        planned(&[(5, Join), (30, Join)], Some(20), false),
        Plan::Joined
    );
    assert_eq!(
        planned(&[(5, Join), (30, Leave), (40, Join)], Some(20), false),
        Plan::NewlyJoined
    );
    assert_eq!(
        planned(&[(5, Invite), (30, Join)], Some(20), false),
        Plan::NewlyJoined
    );
    assert_eq!(planned(&[(5, Join)], Some(4), false), Plan::NewlyJoined);
}

#[test]
fn invitations_are_told_once() {
    assert_eq!(
        planned(&[(5, Invite)], Some(4), false),
        Plan::Invite(EventNid(5))
    );
    assert_eq!(planned(&[(5, Invite)], Some(5), false), Plan::Nothing);
    assert_eq!(
        planned(&[(5, Knock), (9, Knock)], Some(5), false),
        Plan::Knock(EventNid(9))
    );
}

#[test]
fn leaving_is_told_once() {
    let kicked = [(5, Join), (30, Leave)];
    assert_eq!(
        planned(&kicked, Some(20), false),
        left(20, 30, Base::Since(20))
    );
    assert_eq!(planned(&kicked, Some(30), false), Plan::Nothing);
    assert_eq!(planned(&kicked, Some(30), true), Plan::Nothing);
    assert_eq!(
        planned(&[(5, Join), (30, Ban)], Some(20), false),
        left(20, 30, Base::Since(20))
    );
    // Only up to where the stay ended.
    let banned = [(5, Join), (30, Leave), (40, Ban)];
    assert_eq!(
        planned(&banned, Some(20), false),
        left(20, 30, Base::Since(20))
    );
    assert_eq!(planned(&banned, Some(35), false), Plan::Nothing);
}

#[test]
fn a_short_stay_is_told_as_a_whole() {
    assert_eq!(
        planned(&[(5, Join), (30, Leave)], Some(2), false),
        left(MIN, 30, Base::Whole)
    );
    let again = [(5, Join), (25, Leave), (30, Join), (40, Leave)];
    assert_eq!(planned(&again, Some(20), false), left(MIN, 40, Base::Whole));
}

#[test]
fn declined_invitations_are_over() {
    assert_eq!(
        planned(&[(5, Invite), (30, Leave)], Some(20), false),
        left(20, 30, Base::Nothing)
    );
    assert_eq!(
        planned(&[(5, Invite), (30, Leave)], Some(2), false),
        left(2, 30, Base::Nothing)
    );
    assert_eq!(
        planned(&[(5, Knock), (30, Ban)], Some(20), false),
        left(20, 30, Base::Nothing)
    );
    assert_eq!(
        planned(&[(5, Invite), (30, Leave)], Some(30), false),
        Plan::Nothing
    );
    assert_eq!(planned(&[(30, Ban)], Some(20), false), Plan::Nothing);
    let after_a_stay = [(5, Join), (6, Leave), (25, Invite), (30, Leave)];
    assert_eq!(
        planned(&after_a_stay, Some(20), false),
        left(20, 30, Base::Nothing)
    );
}

#[test]
fn full_state_brings_no_left_room_back() {
    let asked = Asked {
        since: Some(20),
        now: 100,
        include_leave: true,
        full_state: true,
    };
    let full = |list: &[(Position, Membership)]| plan(&records(list), asked);
    assert_eq!(full(&[(5, Join), (6, Leave)]), Plan::Nothing);
    // What came to nothing since is not covered up by the stay before it.
    let declined = [(5, Join), (6, Leave), (25, Invite), (30, Leave)];
    assert_eq!(full(&declined), left(20, 30, Base::Nothing));
    assert_eq!(full(&[(5, Join), (30, Leave)]), left(20, 30, Base::Whole));
}
