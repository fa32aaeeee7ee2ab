use super::*;
use crate::timeline::tests::event;

const ROOM: RoomNid = RoomNid(1);
const OTHER: RoomNid = RoomNid(2);

fn entry(room: RoomNid, pos: Position) -> Option<Entry> {
    Some(Entry::Event {
        room,
        event: Arc::new(event(pos)),
        stale: false,
    })
}

impl Ring<Entry> {
    fn push(&mut self, entry: Option<Entry>) {
        let pos = self.head() + 1;
        self.extend((pos, pos), entry.map(|entry| (pos, entry)));
    }
}

fn positions(found: Option<Vec<(Position, Entry)>>) -> Option<Vec<Position>> {
    found.map(|entries| entries.into_iter().map(|(pos, _)| pos).collect())
}

fn range(after: Position, up_to: Position) -> Range {
    Range { after, up_to }
}

#[test]
fn entries_are_found_by_room_newest_first() {
    let mut ring = Ring::new(100, usize::MAX);
    ring.restart(10);
    ring.push(entry(ROOM, 11));
    ring.push(entry(OTHER, 12));
    ring.push(None);
    ring.push(entry(ROOM, 14));
    ring.push(Some(Entry::RoomChange { room: ROOM }));
    assert_eq!(ring.head(), 15);
    assert_eq!(
        positions(ring.of_room(ROOM, range(10, 15), 9)),
        Some(vec![15, 14, 11])
    );
    assert_eq!(
        positions(ring.of_room(ROOM, range(11, 14), 9)),
        Some(vec![14])
    );
    assert_eq!(
        positions(ring.of_room(ROOM, range(10, 15), 2)),
        Some(vec![15, 14])
    );
    assert_eq!(
        positions(ring.of_room(RoomNid(3), range(10, 15), 9)),
        Some(vec![])
    );
    // Before the floor and past the head nothing is known.
    assert_eq!(positions(ring.of_room(ROOM, range(9, 15), 9)), None);
    assert_eq!(positions(ring.of_room(ROOM, range(10, 16), 9)), None);
    assert_eq!(ring.last_of_room(OTHER), Some(12));
}

#[test]
fn the_oldest_go_first_and_the_floor_rises() {
    let mut ring = Ring::new(3, usize::MAX);
    for pos in 1..=5 {
        ring.push(entry(if pos == 1 { OTHER } else { ROOM }, pos));
    }
    assert_eq!(
        positions(ring.of_room(ROOM, range(2, 5), 9)),
        Some(vec![5, 4, 3])
    );
    assert_eq!(positions(ring.of_room(ROOM, range(1, 5), 9)), None);
    assert_eq!(ring.last_of_room(OTHER), None);
    assert_eq!(ring.rooms.len(), 1);

    // Of an even position, which weighs more than an odd one.
    let one = entry(ROOM, 2).unwrap().weight();
    let mut small = Ring::new(100, one * 2);
    for pos in 1..=4 {
        small.push(entry(ROOM, pos));
    }
    assert_eq!(
        positions(small.of_room(ROOM, range(2, 4), 9)),
        Some(vec![4, 3])
    );
    assert!(!small.covers(range(1, 4)));
    // An entry larger than the whole ring leaves nothing but the right floor.
    let mut tiny = Ring::new(100, 1);
    tiny.push(entry(ROOM, 1));
    assert_eq!(
        (tiny.head(), tiny.covers(range(1, 1)), tiny.bytes),
        (1, true, 0)
    );
}

#[test]
fn a_restart_leaves_a_gap() {
    let mut ring = Ring::new(100, usize::MAX);
    ring.push(entry(ROOM, 1));
    ring.restart(7);
    assert_eq!(positions(ring.of_room(ROOM, range(0, 7), 9)), None);
    assert_eq!(positions(ring.of_room(ROOM, range(7, 7), 9)), Some(vec![]));
    ring.push(entry(ROOM, 8));
    assert_eq!(positions(ring.of_room(ROOM, range(7, 8), 9)), Some(vec![8]));
}

#[test]
fn a_redacted_event_is_stale() {
    let mut ring = Ring::new(100, usize::MAX);
    for pos in 1..=3 {
        ring.push(entry(ROOM, pos));
    }
    ring.redact(ROOM, EventNid(2));
    ring.redact(OTHER, EventNid(3));
    let stale: Vec<bool> = ring
        .of_room(ROOM, range(0, 3), 9)
        .unwrap()
        .into_iter()
        .map(|(_, entry)| matches!(entry, Entry::Event { stale: true, .. }))
        .collect();
    assert_eq!(stale, vec![false, true, false]);
}

#[test]
fn account_data_is_found_by_user() {
    let mut ring = Ring::new(2, usize::MAX);
    for user in [1, 2, 1] {
        ring.push(Some(Entry::AccountData {
            user: UserNid(user),
            room: RoomNid(0),
            data_type: "m.direct".to_owned(),
            content: Bytes::from_static(b"{}"),
        }));
    }
    assert_eq!(
        positions(ring.of_user(UserNid(1), range(1, 3))),
        Some(vec![3])
    );
    assert_eq!(positions(ring.of_user(UserNid(1), range(0, 3))), None);
    assert_eq!(ring.last_of_user(UserNid(2)), Some(2));
}
