use super::*;

const A: UserNid = UserNid(1);
const B: UserNid = UserNid(2);
const ROOM: RoomNid = RoomNid(10);
const OTHER: RoomNid = RoomNid(11);
const TIMES: Times = Times {
    offline: 30,
    idle: 300,
    active: 60,
};

fn entry(user: UserNid, state: State, ago: i64) -> soft::Presence {
    soft::Presence {
        user_nid: user.0,
        user_id: format!("@u{}:x", user.0),
        device_id: "D".to_owned(),
        state: state.number(),
        active_ago_ms: Some(ago),
        status: None,
    }
}

fn id(ms: i64) -> SoftId {
    SoftId { ms, seq: 0 }
}

/// Two users, of whom A is in the room.
fn people() -> People {
    let mut people = People::new(TIMES);
    people.begin(7, 1_000);
    let users = people.load([(A, "@u1:x"), (B, "@u2:x")].into_iter());
    assert_eq!(users, [A, B]);
    people.know(A, vec![ROOM], (None, 0));
    people.know(B, vec![OTHER], (None, 0));
    people
}

fn told(people: &People, since: Option<SoftPlace>) -> (Vec<(String, State)>, SoftPlace) {
    told_in(people, since, &[])
}

/// To a third user, who is in the room.
fn told_in(
    people: &People,
    since: Option<SoftPlace>,
    new_rooms: &[RoomNid],
) -> (Vec<(String, State)>, SoftPlace) {
    let mut rooms = vec![ROOM];
    rooms.extend(new_rooms);
    let (shown, now) = people.told(&Asking {
        user: UserNid(3),
        since,
        rooms: &rooms,
        new_rooms,
        limit: 10,
    });
    let shown = shown.into_iter().map(|s| (s.user_id.to_string(), s.state));
    (shown.collect(), now)
}

fn a(state: State) -> Vec<(String, State)> {
    vec![("@u1:x".to_owned(), state)]
}

#[test]
fn who_shares_a_room_hears_of_each_change_once() {
    let mut people = people();
    let (shown, start) = told(&people, None);
    assert!(shown.is_empty());
    assert!(people.apply(id(2_000), &entry(A, State::Online, 0)));
    assert!(people.apply(id(2_000), &entry(B, State::Online, 0)));
    assert!(people.has_changed(start));
    let (shown, online) = told(&people, Some(start));
    assert_eq!(shown, a(State::Online));
    assert!(told(&people, Some(online)).0.is_empty());
    assert_eq!(told(&people, None).0, a(State::Online));
    // It goes on: nothing new.
    assert!(!people.apply(id(2_020), &entry(A, State::Online, 20)));
    assert_eq!(people.next_ms(), Some(2_030));
    // No more is heard of either: B ends first.
    assert_eq!(people.complete(2_049), [B]);
    assert_eq!(people.complete(2_050), [A]);
    let (shown, _) = told(&people, Some(online));
    assert_eq!(shown, a(State::Offline));
    assert!(told(&people, None).0.is_empty());
}

#[test]
fn a_room_that_is_new_to_either_brings_those_who_are_there() {
    let mut people = people();
    people.apply(id(2_000), &entry(B, State::Unavailable, 0));
    let (_, now) = told(&people, None);
    let b = vec![("@u2:x".to_owned(), State::Unavailable)];
    assert_eq!(told_in(&people, Some(now), &[OTHER]).0, b);
    assert!(told(&people, Some(now)).0.is_empty());
    assert!(people.member(B, ROOM, true));
    let (shown, now) = told(&people, Some(now));
    assert_eq!(shown, b);
    people.member(B, ROOM, false);
    people.apply(id(2_001), &entry(B, State::Online, 0));
    assert!(told(&people, Some(now)).0.is_empty());
}

#[test]
fn changes_of_rooms_while_they_are_read_are_not_lost() {
    let mut people = people();
    people.apply(id(2_000), &entry(A, State::Online, 0));
    people.rooms_are_stale();
    assert_eq!(people.load_stale(10), [A, B]);
    people.member(A, ROOM, false);
    people.know(A, vec![ROOM, OTHER], (None, 0));
    assert!(told(&people, None).0.is_empty());
    people.not_loaded(&[B]);
    assert_eq!(people.load_stale(10), [B]);
}

#[test]
fn the_latest_status_message_counts() {
    let mut people = people();
    let with = |text: Option<&str>, at_ms| soft::Presence {
        status: Some(soft::Status {
            text: text.map(str::to_owned),
            at_ms,
        }),
        ..entry(A, State::Online, 0)
    };
    assert!(people.apply(id(2_000), &with(Some("here"), 5)));
    assert!(people.apply(id(2_001), &with(Some("there"), 7)));
    assert!(!people.apply(id(2_002), &with(Some("here"), 6)));
    let status = |people: &People| {
        people
            .person(A)
            .unwrap()
            .status
            .as_deref()
            .map(str::to_owned)
    };
    assert_eq!(status(&people).as_deref(), Some("there"));
    assert!(people.apply(id(2_003), &with(None, 8)));
    assert_eq!(status(&people), None);
}

#[test]
fn what_does_not_fit_comes_with_the_next_response() {
    let mut people = People::new(TIMES);
    people.begin(7, 1_000);
    let users: Vec<UserNid> = (1..=5).map(UserNid).collect();
    people.load(users.iter().map(|user| (*user, "@u:x")));
    for (ms, user) in (2_000..).zip(&users) {
        people.know(*user, vec![ROOM], (None, 0));
        people.apply(id(ms), &entry(*user, State::Online, 0));
    }
    let mut since = SoftPlace {
        run: 7,
        at: end_of(1_500),
    };
    let mut counts = Vec::new();
    for _ in 0..4 {
        let asking = Asking {
            user: UserNid(9),
            since: Some(since),
            rooms: &[ROOM],
            new_rooms: &[],
            limit: 2,
        };
        let (shown, now) = people.told(&asking);
        counts.push(shown.len());
        since = now;
    }
    assert_eq!(counts, [2, 2, 1, 0]);
}

#[test]
fn another_life_of_redis_tells_all_again() {
    let mut people = people();
    people.apply(id(2_000), &entry(A, State::Online, 0));
    let (_, before) = told(&people, None);
    people.begin(8, 2_010);
    let (shown, now) = told(&people, Some(before));
    assert_eq!(shown, a(State::Online));
    assert!(told(&people, Some(now)).0.is_empty());
    people.complete(2_100);
    assert_eq!(told(&people, Some(now)).0, a(State::Offline));
    // Who was away meanwhile hears that A is gone, too.
    assert_eq!(told(&people, Some(before)).0, a(State::Offline));
}

#[test]
fn who_waits_is_not_concerned_with_strangers() {
    let mut people = people();
    let (_, start) = told(&people, None);
    let me = UserNid(3);
    people.apply(id(2_000), &entry(B, State::Online, 0));
    assert!(people.has_changed(start));
    assert!(!people.has_changed_in(start, me, &[ROOM]));
    assert!(people.has_changed_in(start, me, &[OTHER]));
    assert!(!people.has_changed_in(start, B, &[OTHER]), "the own change");
    people.apply(id(2_001), &entry(A, State::Online, 0));
    assert!(people.has_changed_in(start, me, &[ROOM]));
    let (_, now) = told(&people, Some(start));
    assert!(!people.has_changed_in(now, me, &[ROOM, OTHER]));
    people.begin(8, 2_010);
    assert!(people.has_changed_in(now, me, &[ROOM]), "another life");
}

#[test]
fn who_is_present_is_found_by_room_whatever_changes() {
    let mut people = people();
    let present = |people: &People, room| people.present.in_rooms(&[room], 9);
    people.apply(id(2_000), &entry(A, State::Online, 0));
    assert_eq!(present(&people, ROOM), BTreeSet::from([A]));
    people.member(A, OTHER, true);
    people.member(A, ROOM, false);
    assert!(present(&people, ROOM).is_empty());
    assert_eq!(present(&people, OTHER), BTreeSet::from([A]));
    people.rooms_are_stale();
    people.load_stale(10);
    people.know(A, vec![ROOM], (None, 0));
    assert_eq!(present(&people, ROOM), BTreeSet::from([A]));
    assert!(present(&people, OTHER).is_empty());
    people.complete(2_050);
    assert!(present(&people, ROOM).is_empty());
}

#[test]
fn a_forged_place_is_no_panic() {
    let mut people = people();
    people.apply(id(2_000), &entry(A, State::Online, 0));
    for at in [i64::MAX, i64::MAX - 1, i64::MIN] {
        let forged = SoftPlace { run: 7, at };
        told_in(&people, Some(forged), &[OTHER]);
        people.has_changed_in(forged, B, &[ROOM]);
    }
}

#[test]
fn who_is_heard_of_is_read_without_all_others() {
    let mut people = people();
    people.apply(id(2_000), &entry(A, State::Online, 0));
    people.rooms_are_stale();
    assert_eq!(people.load([(B, "@u2:x")].into_iter()), [B]);
    assert!(people.load([(B, "@u2:x")].into_iter()).is_empty());
    // Until they are read anew the rooms are those that were known.
    assert_eq!(told(&people, None).0, a(State::Online));
    assert_eq!(people.load_stale(1), [A]);
    assert!(!people.know(A, vec![ROOM], (None, 0)), "nothing new");
    assert!(people.load_stale(1).is_empty());
}

#[test]
fn only_rooms_that_are_known_for_sure_are_shared() {
    let mut people = people();
    assert!(!people.share_room(A, B));
    people.member(B, ROOM, true);
    assert!(people.share_room(A, B));
    people.rooms_are_stale();
    assert!(!people.share_room(A, B));
    assert!(!people.share_room(A, UserNid(9)));
}
