use ganglion_model::Shard;
use ganglion_rooms::RoomInfo;

use super::*;

const ROOM: RoomNid = RoomNid(1);

fn id(ms: i64) -> SoftId {
    SoftId { ms, seq: 0 }
}

fn typing(user: &str, timeout_ms: u32) -> soft::Typing {
    soft::Typing {
        room_nid: ROOM.0,
        user_id: user.to_owned(),
        timeout_ms,
    }
}

fn rooms(nids: &[RoomNid]) -> RoomList {
    let room = |nid: &RoomNid| {
        let shard = Shard::new(0).unwrap();
        let info = RoomInfo::new(*nid, "!r:x", shard, "12").unwrap();
        let room = UserRoom {
            info,
            changes: Vec::new(),
            forgotten: None,
        };
        (*nid, Arc::new(room))
    };
    nids.iter().map(room).collect()
}

fn begun() -> Lists {
    let mut lists = Lists::default();
    lists.begin(7, 1_000);
    lists
}

fn names(told: &Told, room: RoomNid) -> Option<Vec<&str>> {
    Some(told.rooms.get(&room)?.iter().map(Arc::as_ref).collect())
}

#[test]
fn a_list_is_told_when_it_changes_and_once() {
    let mut lists = begun();
    let list = rooms(&[ROOM, RoomNid(2)]);
    let first = lists.told(None, &list, |_| true);
    assert!(first.rooms.is_empty() && !first.sees_typing);

    assert_eq!(lists.apply(id(2_000), &typing("@b:x", 500)), Some(ROOM));
    assert_eq!(lists.apply(id(2_001), &typing("@a:x", 5_000)), Some(ROOM));
    assert!(lists.has_changed(first.now, ROOM));
    let second = lists.told(Some((first.now, false)), &list, |_| true);
    assert_eq!(names(&second, ROOM), Some(vec!["@a:x", "@b:x"]));
    assert!(second.sees_typing && !lists.has_changed(second.now, ROOM));
    assert!(
        lists
            .told(Some((second.now, true)), &list, |_| true)
            .rooms
            .is_empty()
    );
    // The same token again: the same again.
    let again = lists.told(Some((first.now, false)), &list, |_| true);
    assert_eq!(again.rooms, second.rooms);
    // Who is not in the room hears nothing.
    assert!(
        lists
            .told(None, &rooms(&[RoomNid(2)]), |_| true)
            .rooms
            .is_empty()
    );

    // Goes on typing: no change.
    assert_eq!(lists.apply(id(2_400), &typing("@b:x", 500)), None);
    assert_eq!(lists.next_ms(), Some(2_900));
    assert!(lists.complete(2_899).is_empty());
    assert_eq!(lists.complete(2_900), [ROOM]);
    let third = lists.told(Some((second.now, true)), &list, |_| true);
    assert_eq!(names(&third, ROOM), Some(vec!["@a:x"]));

    assert_eq!(lists.apply(id(3_000), &typing("@a:x", 0)), Some(ROOM));
    assert_eq!(lists.apply(id(3_001), &typing("@a:x", 0)), None);
    let last = lists.told(Some((third.now, true)), &list, |_| true);
    assert_eq!(names(&last, ROOM), Some(vec![]));
    assert!(!last.sees_typing && lists.next_ms().is_none());
}

#[test]
fn all_instances_put_ends_and_notices_into_one_order() {
    // One reads each entry as it comes, the other all at once.
    let (mut quick, mut slow) = (begun(), begun());
    let notices = [
        (2_000, typing("@a:x", 100)),
        (2_050, typing("@b:x", 100)),
        (2_100, typing("@c:x", 100)),
    ];
    let places = |lists: &Lists| lists.rooms.get(&ROOM).map(|room| room.changed_at);
    for (ms, notice) in &notices {
        quick.complete(ms - 1);
        quick.apply(id(*ms), notice);
        for step in 0..30 {
            quick.complete(ms + step);
        }
    }
    quick.complete(2_120);
    for (ms, notice) in &notices {
        slow.complete(ms - 1);
        slow.apply(id(*ms), notice);
    }
    slow.complete(2_120);
    // A's end comes behind C's notice of the same millisecond.
    assert_eq!(places(&quick), Some(end_of(2_100)));
    assert_eq!(places(&slow), places(&quick));
    // A token of the one that is ahead asks the other for nothing that it has told.
    let token = quick.told(None, &rooms(&[ROOM]), |_| true).now;
    assert!(!slow.has_changed(token, ROOM));
    slow.complete(2_200);
    assert!(slow.has_changed(token, ROOM));
}

#[test]
fn after_a_restart_of_redis_the_truth_is_told_once() {
    let mut lists = begun();
    let list = rooms(&[ROOM, RoomNid(2)]);
    lists.apply(id(2_000), &typing("@a:x", 5_000));
    let before = lists.told(None, &list, |_| true);
    assert_eq!(lists.begin(8, 3_000), [ROOM]);
    // It may have seen somebody type anywhere.
    let told = lists.told(Some((before.now, true)), &list, |_| true);
    assert_eq!(names(&told, ROOM), Some(vec![]));
    assert_eq!(names(&told, RoomNid(2)), Some(vec![]));
    assert!(
        lists
            .told(Some((told.now, false)), &list, |_| true)
            .rooms
            .is_empty()
    );
    // It has seen nobody.
    assert!(
        lists
            .told(Some((before.now, false)), &list, |_| true)
            .rooms
            .is_empty()
    );
    lists.apply(id(4_000), &typing("@b:x", 5_000));
    let told = lists.told(Some((before.now, false)), &list, |_| true);
    assert_eq!(names(&told, ROOM), Some(vec!["@b:x"]));
}

#[test]
fn what_comes_late_is_new_all_the_same() {
    let mut lists = begun();
    // Redis was away, the time went on.
    lists.complete(9_000);
    let token = lists.told(None, &rooms(&[ROOM]), |_| true).now;
    lists.apply(id(8_000), &typing("@a:x", 5_000));
    assert!(lists.has_changed(token, ROOM));
}

#[test]
fn rooms_that_the_user_is_not_in_any_more_count_for_nothing() {
    let mut lists = begun();
    let start = lists.told(None, &RoomList::new(), |_| true).now;
    lists.apply(id(2_000), &typing("@a:x", 5_000));
    // Looked for from either side.
    for list in [rooms(&[ROOM]), rooms(&[ROOM, RoomNid(2), RoomNid(3)])] {
        let is_joined = |room: &UserRoom| room.info.nid != ROOM;
        for since in [
            None,
            Some((start, false)),
            Some((SoftPlace::default(), true)),
        ] {
            let told = lists.told(since, &list, is_joined);
            assert!(!told.sees_typing && !told.rooms.contains_key(&ROOM));
            let told = lists.told(since, &list, |_| true);
            assert!(told.sees_typing && told.rooms.contains_key(&ROOM));
        }
    }
}
