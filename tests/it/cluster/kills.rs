//! Every process is killed in turn while people talk.

use std::time::Duration;

use tokio::time::Instant;

use super::load::Load;
use super::owners::{rooms_of_all, settled};
use crate::sandbox::{Sandbox, connect};

/// Less than an owner is missed for: a writer's request may run into it and is repeated.
const PATIENCE: Duration = Duration::from_secs(3);
/// A lease (2 s), the new owner's start (1 s), and what two busy cores add.
const LONGEST_GAP: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_when_each_process_is_killed() {
    let mut sandbox = Sandbox::start("kills").await;
    let db = connect(&sandbox.cluster.facts().postgres.primary).await;
    let mut members = Vec::new();
    for name in ["alice", "bob", "carol"] {
        members.push(sandbox.user(name).await);
    }
    let rooms = rooms_of_all(&db, &sandbox.cluster, &members[0], 2).await;
    let load = Load::start(members, rooms, PATIENCE).await;

    for name in [
        "client-reader-1",
        "event-persister-1",
        "client-reader-2",
        "event-persister-2",
    ] {
        // Who is killed serves: its shards have come back to it.
        settled(&db, &sandbox.cluster).await;
        load.goes_on(3, LONGEST_GAP).await;
        let killed = Instant::now();
        sandbox.cluster.kill(name).await.unwrap();
        load.goes_on(3, LONGEST_GAP * 3).await;
        let gap = load.longest_gap(killed);
        println!("{name} killed: nothing acknowledged in a room for {gap:?} at most");
        assert!(gap < LONGEST_GAP, "{name}: {gap:?}");
        sandbox.cluster.restart(name).await.unwrap();
    }
    settled(&db, &sandbox.cluster).await;

    let outcome = load.end().await;
    println!(
        "{} acknowledged, {} requests repeated, {} limited timelines",
        outcome.acks.len(),
        outcome.failures.len(),
        outcome.limited
    );
    // Eleven clients and four kills: nobody runs into a dead process again and again.
    assert!(outcome.failures.len() < 88, "{:#?}", outcome.failures);
    // The test would prove little if nobody had to fill a gap.
    assert!(outcome.limited > 0);
    sandbox.end().await;
}
