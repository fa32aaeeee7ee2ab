use super::*;

const ROOM: RoomNid = RoomNid(1);
const ME: UserNid = UserNid(1);

fn receipt(user: i64, kind: ReceiptKind, thread: &str, (event, pos): (i64, Position)) -> Receipt {
    Receipt {
        key: ReceiptKey {
            room_nid: ROOM,
            user_nid: UserNid(user),
            kind,
            thread: thread.to_owned(),
        },
        user_id: format!("@u{user}:x"),
        event_id: format!("$e{event}"),
        event_pos: event,
        ts: pos * 10,
        pos,
    }
}

fn read(user: i64, thread: &str, place: (i64, Position)) -> Arc<Receipt> {
    Arc::new(receipt(user, ReceiptKind::Read, thread, place))
}

fn private(user: i64, thread: &str, place: (i64, Position)) -> Arc<Receipt> {
    Arc::new(receipt(user, ReceiptKind::Private, thread, place))
}

fn told(found: Vec<Arc<Receipt>>, wanted: &Value) -> Vec<Position> {
    let wanted: RoomEventFilter = serde_json::from_value(wanted.clone()).unwrap();
    let mut receipts = Receipts::default();
    receipts.add(found, ME, &wanted);
    let mut positions: Vec<_> = receipts.take(ROOM).iter().map(|r| r.pos).collect();
    positions.sort_unstable();
    positions
}

fn written(receipts: &[Arc<Receipt>], most: usize) -> Value {
    Value::from(events(receipts, most))
}

#[test]
fn own_receipts_are_the_newest_of_each_key_in_any_order() {
    let mut own = OwnReceipts::default();
    for receipt in [
        read(1, "", (5, 10)),
        read(1, "", (3, 8)),
        private(1, "", (7, 12)),
        read(1, "main", (4, 9)),
        read(1, "$root", (6, 11)),
        read(1, "$root", (9, 14)),
    ] {
        assert!(own.apply(receipt));
    }
    assert_eq!(own.of_room(ROOM).count(), 4);
    let places: Vec<_> = own.read_up_to(ROOM).into_iter().collect();
    assert_eq!(places, vec![("", 7), ("$root", 9), ("main", 4)]);
    assert!(own.read_up_to(RoomNid(2)).is_empty());
}

#[test]
fn private_receipts_of_others_and_superseded_ones_are_left_out() {
    let found = vec![
        read(2, "", (9, 19)),
        private(2, "", (9, 18)),
        private(1, "", (9, 17)),
        read(2, "", (8, 16)),
        read(2, "main", (8, 15)),
    ];
    assert_eq!(told(found, &json!({})), vec![15, 17, 19]);
}

#[test]
fn the_filter_chooses_whose_receipts_are_told() {
    let found = || {
        vec![
            read(1, "", (9, 19)),
            read(2, "", (9, 18)),
            read(3, "", (9, 17)),
        ]
    };
    let only = json!({"senders": ["@u2:x", "@u1:x"]});
    assert_eq!(told(found(), &only), vec![18, 19]);
    let not = json!({"not_senders": ["@u2:x"]});
    assert_eq!(told(found(), &not), vec![17, 19]);
    assert!(told(found(), &json!({"types": ["m.typing"]})).is_empty());
    assert!(told(found(), &json!({"not_types": ["m.*"]})).is_empty());
}

#[test]
fn of_many_others_the_newest_are_told_and_the_own_always() {
    let many = i64::try_from(MOST_OF_OTHERS).unwrap() + 10;
    let mut found: Vec<_> = (0..many)
        .map(|n| read(n + 2, "", (9, 10_000 - n)))
        .collect();
    found.push(private(1, "", (9, 3)));
    let told = told(found, &json!({}));
    assert_eq!(told.len(), MOST_OF_OTHERS + 1);
    assert_eq!(told.first(), Some(&3));
    assert_eq!(told.last(), Some(&10_000));
}

#[test]
fn threads_come_in_events_of_their_own() {
    let receipts = [
        read(1, "", (9, 19)),
        private(1, "", (9, 18)),
        read(2, "", (8, 17)),
        read(1, "main", (9, 20)),
        read(1, "$root", (7, 16)),
    ];
    assert_eq!(
        written(&receipts, usize::MAX),
        json!([
            {"type": "m.receipt", "content": {
                "$e9": {"m.read": {"@u1:x": {"ts": 200, "thread_id": "main"}}},
            }},
            {"type": "m.receipt", "content": {
                "$e9": {
                    "m.read": {"@u1:x": {"ts": 190}},
                    "m.read.private": {"@u1:x": {"ts": 180}},
                },
                "$e8": {"m.read": {"@u2:x": {"ts": 170}}},
            }},
            {"type": "m.receipt", "content": {
                "$e7": {"m.read": {"@u1:x": {"ts": 160, "thread_id": "$root"}}},
            }},
        ])
    );
    assert_eq!(written(&receipts, 1).as_array().unwrap().len(), 1);
    assert_eq!(written(&[], 9), json!([]));
}

#[test]
fn of_too_many_threads_the_receipts_that_came_last_stay() {
    let most = i64::try_from(MOST_OF_THREADS).unwrap();
    let mut all = vec![read(1, "", (1, 1)), private(1, "main", (2, 2))];
    all.extend((3..most + 13).map(|pos| read(1, &format!("$t{pos}"), (pos, pos))));
    let mut own = OwnReceipts::default();
    for receipt in all.iter().rev().chain(&all) {
        own.apply(receipt.clone());
    }
    // The oldest one that is left is read again: the next goes instead of it.
    own.apply(read(1, "$t13", (most + 20, most + 20)));
    own.apply(read(1, "$new", (most + 21, most + 21)));
    let places = own.read_up_to(ROOM);
    assert_eq!(places.len(), MOST_OF_THREADS + 2);
    assert_eq!((places[""], places["main"]), (1, 2));
    assert_eq!(places["$t13"], most + 20);
    assert!(!places.contains_key("$t12") && !places.contains_key("$t14"));
    assert_eq!(
        own.weight(),
        1 + (MOST_OF_THREADS + 2) / RECEIPTS_PER_WEIGHT
    );
    all.reverse();
    assert_eq!(told(all, &json!({})).len(), MOST_OF_THREADS + 2);
}
