use std::time::Duration;

use bytes::Bytes;
use ganglion_storage::receipts::ReceiptKind;

use super::*;

const ROOM: RoomNid = RoomNid(1);
const USER: UserNid = UserNid(7);

fn tail() -> Tail {
    Tail::new(Rooms::new(1 << 20), &Limits::default())
}

fn shard() -> Shard {
    Shard::new(3).unwrap()
}

fn event(room: RoomNid, nid: i64) -> log::Event {
    log::Event {
        room_nid: room.0,
        room_id: "!r:x".to_owned(),
        event_nid: nid,
        event_id: format!("$e{nid}"),
        room_version: "12".to_owned(),
        r#type: "m.room.message".to_owned(),
        content: Bytes::from_static(b"{}"),
        ..log::Event::default()
    }
}

fn batch(first: Position, entries: Vec<(u32, Vec<u8>)>) -> LogBatch {
    let last = first + i64::try_from(entries.len()).unwrap() - 1;
    let entries = (first..)
        .zip(entries)
        .map(|(pos, (kind, payload))| log::Entry {
            pos,
            kind,
            payload: payload.into(),
        })
        .collect();
    LogBatch {
        shard: shard(),
        generation: 1,
        first,
        last,
        at_ms: 0,
        entries,
    }
}

fn interest(rooms: &[RoomNid]) -> Interest {
    Interest {
        user: USER,
        user_shard: Shard::new(40).unwrap(),
        rooms: rooms.iter().map(|room| (shard(), *room)).collect(),
    }
}

fn watching(tail: &Tail, interest: Interest, seen: &Vector, seen_user: Position) -> Watch {
    let mut watch = tail.watch(interest.user);
    watch.add(&interest, seen, seen_user);
    watch
}

async fn wakes(watch: &Watch) -> bool {
    tokio::time::timeout(Duration::from_millis(20), watch.woken())
        .await
        .is_ok()
}

#[tokio::test]
async fn a_request_is_woken_by_its_rooms_only() {
    let tail = tail();
    tail.restart(shard(), 10);
    let watch = watching(&tail, interest(&[ROOM]), &tail.vector(), 0);
    assert!(!wakes(&watch).await);
    tail.apply(&batch(
        11,
        vec![(kind::EVENT, event(RoomNid(2), 1).encode_to_vec())],
    ));
    assert!(!wakes(&watch).await);
    tail.apply(&batch(
        12,
        vec![(kind::EVENT, event(ROOM, 2).encode_to_vec())],
    ));
    assert!(wakes(&watch).await);
    // What came between the answer and the waiting wakes at once.
    let mut seen = tail.vector();
    seen.set(shard(), 11);
    assert!(wakes(&watching(&tail, interest(&[ROOM]), &seen, 0)).await);
    assert!(!wakes(&watching(&tail, interest(&[ROOM]), &tail.vector(), 0)).await);
}

#[tokio::test]
async fn a_request_is_woken_by_its_users_membership() {
    let tail = tail();
    tail.restart(shard(), 0);
    // The invitation comes between the look at the rooms and the waiting for them.
    let seen = tail.vector();
    let mut watch = tail.watch(USER);
    let invite = log::Event {
        target_nid: Some(USER.0),
        membership: Some(i32::from(Membership::Invite.to_i16())),
        ..event(ROOM, 1)
    };
    tail.apply(&batch(1, vec![(kind::EVENT, invite.encode_to_vec())]));
    watch.add(&interest(&[]), &seen, 0);
    assert!(wakes(&watch).await);
}

#[test]
fn unknown_kinds_and_bad_entries_are_void_positions() {
    let tail = tail();
    tail.restart(shard(), 0);
    let good = event(ROOM, 3).encode_to_vec();
    tail.apply(&batch(
        1,
        vec![(99, vec![]), (kind::EVENT, vec![0xff]), (kind::EVENT, good)],
    ));
    let range = Range { after: 0, up_to: 3 };
    let found = tail.of_room(shard(), ROOM, range, 9).unwrap();
    assert_eq!(
        found.iter().map(|(pos, _)| *pos).collect::<Vec<_>>(),
        vec![3]
    );
}

#[test]
fn a_hole_between_batches_starts_anew() {
    let tail = tail();
    tail.restart(shard(), 0);
    tail.apply(&batch(
        1,
        vec![(kind::EVENT, event(ROOM, 1).encode_to_vec())],
    ));
    tail.apply(&batch(
        5,
        vec![(kind::EVENT, event(ROOM, 5).encode_to_vec())],
    ));
    assert_eq!(tail.position(shard()), 5);
    assert!(
        tail.of_room(shard(), ROOM, Range { after: 0, up_to: 5 }, 9)
            .is_none()
    );
    assert!(
        tail.of_room(shard(), ROOM, Range { after: 4, up_to: 5 }, 9)
            .is_some()
    );
}

#[test]
fn a_redaction_makes_its_target_stale() {
    let tail = tail();
    tail.restart(shard(), 0);
    let redaction = log::Event {
        redacts_nid: Some(1),
        ..event(ROOM, 2)
    };
    let entries = [event(ROOM, 1), redaction].map(|e| (kind::EVENT, e.encode_to_vec()));
    tail.apply(&batch(1, entries.to_vec()));
    let found = tail
        .of_room(shard(), ROOM, Range { after: 0, up_to: 2 }, 9)
        .unwrap();
    assert!(matches!(found[0].1, Entry::Event { stale: false, .. }));
    assert!(matches!(found[1].1, Entry::Event { stale: true, .. }));
}

fn receipt(user: i64, kind: ReceiptKind, crowded: bool) -> (u32, Vec<u8>) {
    let receipt = log::Receipt {
        room_nid: ROOM.0,
        user_nid: user,
        user_id: format!("@u{user}:x"),
        kind: kind.number(),
        event_id: "$e".to_owned(),
        event_pos: 5,
        crowded,
        ..log::Receipt::default()
    };
    (kind::RECEIPT, receipt.encode_to_vec())
}

#[tokio::test]
async fn receipts_wake_at_once_the_user_and_small_rooms_and_crowds_later() {
    let tail = tail();
    tail.restart(shard(), 10);
    let watch = watching(&tail, interest(&[ROOM]), &tail.vector(), 0);
    tail.apply(&batch(11, vec![receipt(9, ReceiptKind::Read, false)]));
    assert!(wakes(&watch).await);
    // A private one is nobody else's business.
    tail.apply(&batch(12, vec![receipt(9, ReceiptKind::Private, false)]));
    assert!(!wakes(&watch).await);
    tail.apply(&batch(
        13,
        vec![receipt(USER.0, ReceiptKind::Private, true)],
    ));
    assert!(wakes(&watch).await);
    let sent = tokio::time::Instant::now();
    for pos in 14..20 {
        tail.apply(&batch(pos, vec![receipt(pos, ReceiptKind::Read, true)]));
        assert!(!wakes(&watch).await);
    }
    watch.woken().await;
    assert!(sent.elapsed() >= Duration::from_secs(2));
    assert!(!wakes(&watch).await);
    // An event in between brings them along.
    tail.apply(&batch(20, vec![receipt(9, ReceiptKind::Read, true)]));
    tail.apply(&batch(
        21,
        vec![(kind::EVENT, event(ROOM, 1).encode_to_vec())],
    ));
    assert!(wakes(&watch).await);
}

#[tokio::test]
async fn receipts_are_kept_apart_from_events() {
    let limits = Limits {
        tail_entries: 4,
        ..Limits::default()
    };
    let tail = Tail::new(Rooms::new(1 << 20), &limits);
    tail.restart(shard(), 10);
    tail.apply(&batch(
        11,
        vec![(kind::EVENT, event(ROOM, 1).encode_to_vec())],
    ));
    for pos in 12..20 {
        tail.apply(&batch(pos, vec![receipt(pos, ReceiptKind::Read, false)]));
    }
    let range = |after| Range { after, up_to: 19 };
    let events = tail.of_room(shard(), ROOM, range(10), 9).unwrap();
    assert_eq!(events.len(), 1);
    assert!(tail.receipts(shard(), &[ROOM], range(14)).is_none());
    let found = tail.receipts(shard(), &[ROOM], range(16)).unwrap();
    let positions: Vec<_> = found.iter().map(|receipt| receipt.pos).collect();
    assert_eq!(positions, vec![19, 18, 17]);
    assert_eq!(tail.position(shard()), 19);
}
