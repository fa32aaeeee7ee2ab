use std::time::Duration;

use ganglion_storage::fabric::InstanceRow;
use tokio::time::Instant;
use uuid::Uuid;

use super::{Terms, Watched};

const TERMS: Terms = Terms {
    heartbeat: Duration::from_millis(500),
    lease: Duration::from_millis(2000),
    refused_lease: Duration::from_millis(1000),
};
const OTHER: Uuid = Uuid::from_u128(7);

fn row(heartbeat: i64) -> InstanceRow {
    InstanceRow {
        instance: OTHER,
        role: "event-persister".to_owned(),
        rpc_address: None,
        heartbeat,
        draining: false,
    }
}

/// Polls every 500 ms, with the heartbeat that each poll shows; `None` is a poll that failed.
fn watch(polls: &[Option<i64>]) -> Watched {
    let start = Instant::now();
    let mut watched = Watched::default();
    for (n, poll) in (0..).zip(polls) {
        match poll {
            Some(heartbeat) => {
                watched.see(&[row(*heartbeat)], start + TERMS.heartbeat * n, &TERMS);
            }
            None => watched.interrupt(),
        }
    }
    watched
}

#[test]
fn a_heartbeat_that_stands_still_for_a_lease_is_death_until_it_moves() {
    assert!(!watch(&[Some(1), Some(1), Some(1), Some(1)]).is_dead(OTHER));
    assert!(watch(&[Some(1), Some(1), Some(1), Some(1), Some(1)]).is_dead(OTHER));
    assert!(!watch(&[Some(1), Some(1), Some(1), Some(1), Some(1), Some(2)]).is_dead(OTHER));
}

#[test]
fn a_moving_heartbeat_is_life() {
    assert!(
        !watch(&[
            Some(1),
            Some(1),
            Some(1),
            Some(2),
            Some(2),
            Some(2),
            Some(2)
        ])
        .is_dead(OTHER)
    );
}

#[test]
fn a_failed_poll_counts_towards_nobodys_death() {
    let polls = [
        Some(1),
        Some(1),
        Some(1),
        None,
        Some(1),
        Some(1),
        Some(1),
        Some(1),
    ];
    assert!(!watch(&polls).is_dead(OTHER));
}

#[test]
fn a_pause_of_our_own_counts_towards_nobodys_death() {
    let start = Instant::now();
    let mut watched = Watched::default();
    watched.see(&[row(1)], start, &TERMS);
    watched.see(&[row(1)], start + Duration::from_secs(60), &TERMS);
    assert!(!watched.is_dead(OTHER));
}

#[test]
fn only_who_stands_still_is_doubtful() {
    assert!(watch(&[Some(1), Some(1)]).doubtful(&TERMS).is_empty());
    let mut watched = watch(&[Some(1), Some(1), Some(1)]);
    assert_eq!(watched.doubtful(&TERMS), [OTHER]);
    watched.declare_dead(OTHER);
    assert!(watched.is_dead(OTHER));
    assert!(watched.doubtful(&TERMS).is_empty());
}
