use proptest::prelude::*;

use super::*;

const TIMES: Times = Times {
    offline: 30,
    idle: 300,
    active: 60,
};

fn device(asked: State, last_active: i64, last_seen: i64) -> Device {
    Device {
        asked,
        last_active,
        last_seen,
    }
}

fn at_time(devices: &[Device], now: i64) -> (State, bool, Option<i64>) {
    let (derived, next) = derive(devices.iter(), now, TIMES);
    (derived.state, derived.currently_active, next)
}

#[test]
fn one_device_goes_through_the_grades() {
    let seen = |last_seen| [device(State::Online, 1_000, last_seen)];
    assert_eq!(
        at_time(&seen(1_000), 1_000),
        (State::Online, true, Some(1_030))
    );
    assert_eq!(at_time(&seen(1_000), 1_029).0, State::Online);
    assert_eq!(at_time(&seen(1_000), 1_030), (State::Offline, false, None));
    assert_eq!(
        at_time(&seen(1_055), 1_060),
        (State::Online, false, Some(1_085))
    );
    assert_eq!(
        at_time(&seen(1_299), 1_299),
        (State::Online, false, Some(1_300))
    );
    assert_eq!(
        at_time(&seen(1_299), 1_300),
        (State::Unavailable, false, Some(1_329))
    );
    // Activity makes it online again.
    let active = [device(State::Online, 1_310, 1_310)];
    assert_eq!(at_time(&active, 1_310), (State::Online, true, Some(1_340)));
}

#[test]
fn the_most_present_device_wins() {
    let idle = device(State::Unavailable, 995, 1_000);
    let gone = device(State::Online, 900, 900);
    let hidden = device(State::Offline, 1_000, 1_000);
    let online = device(State::Online, 990, 1_000);
    assert_eq!(at_time(&[], 1_000), (State::Offline, false, None));
    assert_eq!(at_time(&[hidden], 1_000), (State::Offline, false, None));
    assert_eq!(at_time(&[gone, hidden, idle], 1_000).0, State::Unavailable);
    let all = [gone, hidden, idle, online];
    assert_eq!(at_time(&all, 1_000), (State::Online, true, Some(1_030)));
}

fn devices() -> impl Strategy<Value = Vec<Device>> {
    let state = prop_oneof![
        Just(State::Offline),
        Just(State::Unavailable),
        Just(State::Online)
    ];
    let one = (state, 0..1_000_i64, 0..1_000_i64);
    proptest::collection::vec(one.prop_map(|(s, a, l)| device(s, a, l)), 0..4)
}

proptest! {
    #[test]
    fn nothing_changes_before_the_time_that_is_told(devices in devices(), now in 0..2_000_i64) {
        let (before, next) = derive(devices.iter(), now, TIMES);
        let end = next.unwrap_or(now + 2_000);
        for later in now..end {
            prop_assert_eq!(derive(devices.iter(), later, TIMES).0, before);
        }
    }

    #[test]
    fn the_order_of_devices_does_not_matter(devices in devices(), now in 0..2_000_i64) {
        let mut turned = devices.clone();
        turned.reverse();
        prop_assert_eq!(derive(devices.iter(), now, TIMES), derive(turned.iter(), now, TIMES));
    }
}
