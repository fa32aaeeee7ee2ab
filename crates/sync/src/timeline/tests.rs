use ganglion_model::{EventNid, HistoryVisibility, Membership, SnapshotNid};
use serde_json::json;

use super::*;

const USER: UserNid = UserNid(7);

/// A message for tests.
pub(crate) fn event(pos: Position) -> RoomEvent {
    RoomEvent {
        nid: EventNid(pos),
        event_id: format!("$e{pos}"),
        pos: Some(pos),
        origin_server_ts: 0,
        sender: "@a:x".to_owned(),
        event_type: if pos % 2 == 0 { "even" } else { "odd" }.to_owned(),
        state_key: None,
        slot: None,
        target: None,
        membership: None,
        visibility: HistoryVisibility::Joined,
        snapshot_before: SnapshotNid(0),
        snapshot_after: SnapshotNid(0),
        redacted_by: None,
        redacts: None,
        transaction: None,
        thread: None,
        verdict: Default::default(),
        content: bytes::Bytes::from_static(b"{}"),
    }
}

/// The timeline of the positions after `after`, for a user who joined at `joined`.
fn timeline(
    filter: serde_json::Value,
    limit: usize,
    joined: Position,
) -> (Vec<Position>, Timeline) {
    let filter: RoomEventFilter = serde_json::from_value(filter).unwrap();
    let changes = [MembershipRecord {
        pos: joined,
        membership: Membership::Join,
        event_nid: EventNid(0),
    }];
    let range = Range { after: 4, up_to: 9 };
    let shown = Shown {
        filter: &filter,
        user: USER,
        changes: &changes,
        ignored: &Ignored::default(),
    };
    let mut builder = Builder::new(shown, (limit, range));
    for pos in (5..=9).rev() {
        if builder.offer(Arc::new(event(pos))).is_break() {
            break;
        }
    }
    let timeline = builder.finish();
    (
        timeline
            .events
            .iter()
            .filter_map(|event| event.pos)
            .collect(),
        timeline,
    )
}

#[test]
fn everything_fits() {
    let (positions, timeline) = timeline(json!({}), 5, 1);
    assert_eq!(positions, vec![5, 6, 7, 8, 9]);
    assert!(!timeline.limited && !timeline.skipped);
    assert_eq!(timeline.start, 4);
}

#[test]
fn more_than_the_limit_is_limited() {
    let (positions, timeline) = timeline(json!({}), 3, 1);
    assert_eq!(positions, vec![7, 8, 9]);
    assert!(timeline.limited && timeline.skipped);
    assert_eq!(timeline.start, 6);
    let (positions, none) = self::timeline(json!({}), 0, 1);
    assert!(positions.is_empty() && none.limited);
    assert_eq!(none.start, 9);
}

#[test]
fn what_is_filtered_out_does_not_count_but_is_skipped() {
    let (positions, timeline) = timeline(json!({"types": ["even"]}), 2, 1);
    assert_eq!(positions, vec![6, 8]);
    assert!(!timeline.limited && timeline.skipped);
    assert_eq!(timeline.start, 5);
    let (positions, none) = self::timeline(json!({"types": []}), 2, 1);
    assert!(positions.is_empty() && !none.limited && none.skipped);
    assert_eq!(none.start, 9);
}

#[test]
fn what_was_before_the_join_is_hidden() {
    let (positions, timeline) = timeline(json!({}), 9, 6);
    assert_eq!(positions, vec![7, 8, 9]);
    assert!(!timeline.limited && timeline.skipped);
}

#[test]
fn a_timeline_begins_behind_a_state_event_that_is_hidden() {
    let filter: RoomEventFilter = serde_json::from_value(json!({})).unwrap();
    let change = |pos, membership| MembershipRecord {
        pos,
        membership,
        event_nid: EventNid(pos),
    };
    // Away from 4 to 8.
    let changes = [
        change(1, Membership::Join),
        change(4, Membership::Leave),
        change(8, Membership::Join),
    ];
    for (hidden_state, expected) in [(true, vec![9, 10]), (false, vec![2, 3, 9, 10])] {
        let range = Range {
            after: 1,
            up_to: 10,
        };
        let shown = Shown {
            filter: &filter,
            user: USER,
            changes: &changes,
            ignored: &Ignored::default(),
        };
        let mut builder = Builder::new(shown, (9, range));
        for pos in [10, 9, 6, 3, 2] {
            let mut event = event(pos);
            event.state_key = (pos == 6 && hidden_state).then(String::new);
            if builder.offer(Arc::new(event)).is_break() {
                break;
            }
        }
        let timeline = builder.finish();
        let found: Vec<_> = timeline
            .events
            .iter()
            .filter_map(|event| event.pos)
            .collect();
        assert_eq!(found, expected);
        assert_eq!(
            (timeline.limited, timeline.skipped),
            (hidden_state, hidden_state)
        );
        assert_eq!(timeline.start, if hidden_state { 8 } else { 1 });
    }
    // Though nothing that is shown lies above it.
    let filter: RoomEventFilter = serde_json::from_value(json!({"types": ["odd"]})).unwrap();
    let range = Range {
        after: 1,
        up_to: 10,
    };
    let shown = Shown {
        filter: &filter,
        user: USER,
        changes: &changes,
        ignored: &Ignored::default(),
    };
    let mut builder = Builder::new(shown, (9, range));
    let mut hidden = event(6);
    hidden.state_key = Some(String::new());
    for event in [event(10), hidden] {
        assert!(builder.offer(Arc::new(event)).is_continue());
    }
    assert!(builder.offer(Arc::new(event(3))).is_break());
    let timeline = builder.finish();
    assert!(timeline.events.is_empty() && timeline.limited);
    assert_eq!(timeline.start, 10);
}

#[test]
fn a_long_search_ends() {
    let filter: RoomEventFilter = serde_json::from_value(json!({"types": []})).unwrap();
    let range = Range { after: 0, up_to: 1 };
    let shown = Shown {
        filter: &filter,
        user: USER,
        changes: &[],
        ignored: &Ignored::default(),
    };
    let mut builder = Builder::new(shown, (1, range));
    let hidden = Arc::new(event(1));
    let offered = (0..10_000)
        .take_while(|_| builder.offer(hidden.clone()).is_continue())
        .count();
    assert_eq!(offered, MOST_SCANNED - 1);
    assert!(builder.finish().limited);
}
