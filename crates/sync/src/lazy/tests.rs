use ganglion_model::{Generation, Vector};
use ruma::device_id;

use super::*;

fn token(user: i64) -> SyncToken {
    SyncToken {
        generation: Generation::default(),
        rooms: Vector::ZERO,
        user,
        devices: 0,
    }
}

fn device() -> (UserNid, &'static DeviceId) {
    (UserNid(7), device_id!("DEV"))
}

fn known(lazy: &Lazy, since: i64) -> Vec<i64> {
    let members = lazy.begin(device(), Some(&token(since)));
    let mut known: Vec<i64> = members.iter().map(|event| event.0).collect();
    known.sort_unstable();
    known
}

#[test]
fn an_event_is_known_once_its_response_was_seen() {
    let lazy = Lazy::new();
    assert!(lazy.begin(device(), None).is_empty());
    lazy.sent(device(), (None, &token(10)), [EventNid(1)]);
    assert_eq!(known(&lazy, 10), [1]);
    lazy.sent(device(), (Some(&token(10)), &token(12)), [EventNid(2)]);
    // Asked for again: the response may be lost.
    assert_eq!(known(&lazy, 10), [1]);
    assert_eq!(known(&lazy, 12), [1, 2]);
    assert!(
        lazy.begin((UserNid(7), device_id!("OTHER")), Some(&token(12)))
            .is_empty()
    );
    // Gone back, it may have forgotten everything.
    assert!(known(&lazy, 10).is_empty());
    assert!(known(&lazy, 12).is_empty());
}

#[test]
fn an_event_of_a_response_that_was_lost_is_not_known() {
    let lazy = Lazy::new();
    assert!(known(&lazy, 5).is_empty());
    lazy.sent(device(), (Some(&token(5)), &token(10)), [EventNid(1)]);
    assert!(known(&lazy, 5).is_empty());
    lazy.sent(device(), (Some(&token(5)), &token(12)), [EventNid(2)]);
    assert_eq!(known(&lazy, 12), [2]);
    // Two responses with one token: only what both carry.
    lazy.sent(
        device(),
        (Some(&token(12)), &token(13)),
        [EventNid(3), EventNid(4)],
    );
    lazy.sent(device(), (Some(&token(12)), &token(13)), [EventNid(4)]);
    assert_eq!(known(&lazy, 13), [2, 4]);
    // A token that this process did not give out.
    lazy.sent(device(), (Some(&token(13)), &token(14)), [EventNid(5)]);
    assert!(known(&lazy, 20).is_empty());
    // The answer to a request that was overtaken.
    lazy.sent(device(), (Some(&token(13)), &token(21)), [EventNid(6)]);
    assert!(known(&lazy, 21).is_empty());
}

#[test]
fn a_device_remembers_a_bounded_number() {
    let lazy = Lazy::new();
    assert!(known(&lazy, 1).is_empty());
    for at in 1..100 {
        let events = (at * 100..(at + 1) * 100).map(EventNid);
        lazy.sent(device(), (Some(&token(at)), &token(at + 1)), events);
        assert!(known(&lazy, at + 1).len() <= EVENTS);
    }
}
