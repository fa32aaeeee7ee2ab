use ruma::device_id;

use super::*;

#[test]
fn an_event_is_known_once_its_response_was_seen() {
    let lazy = Lazy::new();
    let device = (UserNid(7), device_id!("DEV"));
    assert!(!lazy.has(device, EventNid(1), 10));
    lazy.sent(device, [EventNid(1)], 10);
    // The client asks again from before: the response was lost.
    assert!(!lazy.has(device, EventNid(1), 9));
    lazy.sent(device, [EventNid(1)], 12);
    assert!(lazy.has(device, EventNid(1), 10));
    assert!(!lazy.has((UserNid(7), device_id!("OTHER")), EventNid(1), 10));
    lazy.forget(UserNid(7), device_id!("DEV"));
    assert!(!lazy.has(device, EventNid(1), 10));
}

#[test]
fn a_device_remembers_a_bounded_number() {
    let lazy = Lazy::new();
    let device = (UserNid(7), device_id!("DEV"));
    lazy.sent(device, (0..5_000).map(EventNid), 1);
    assert!(lazy.has(device, EventNid(4_999), 1));
    assert!(!lazy.has(device, EventNid(0), 1));
}
