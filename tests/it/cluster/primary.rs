//! PostgreSQL's primary crashes and comes back while people talk.

use std::time::Duration;

use ganglion_launcher::{Role, Store};
use tokio::time::Instant;

use super::load::Load;
use super::owners::{instances, rooms_of_all, settled};
use crate::sandbox::{Sandbox, connect};

const PATIENCE: Duration = Duration::from_secs(3);
/// From the moment on when PostgreSQL takes connections again.
const RECOVERED: Duration = Duration::from_secs(15);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_when_the_primary_crashes() {
    let mut sandbox = Sandbox::start("primary").await;
    let dsn = sandbox.cluster.facts().postgres.primary;
    let db = connect(&dsn).await;
    let mut members = Vec::new();
    for name in ["alice", "bob", "carol"] {
        members.push(sandbox.user(name).await);
    }
    let rooms = rooms_of_all(&db, &sandbox.cluster, &members[0], 1).await;
    let load = Load::start(members, rooms, PATIENCE).await;
    load.goes_on(10, RECOVERED).await;
    let before = instances(&sandbox.cluster, Role::EventPersister);

    sandbox.cluster.kill_store(Store::Primary).await.unwrap();
    sandbox.cluster.start_store(Store::Primary).await.unwrap();
    let back = Instant::now();
    load.goes_on(1, RECOVERED).await;
    println!(
        "the primary is back: messages in all rooms after {:?}",
        back.elapsed()
    );

    load.goes_on(10, RECOVERED).await;

    // Nobody died of it.
    settled(&connect(&dsn).await, &sandbox.cluster).await;
    assert_eq!(instances(&sandbox.cluster, Role::EventPersister), before);
    let outcome = load.end().await;
    println!(
        "{} acknowledged, {} requests repeated",
        outcome.acks.len(),
        outcome.failures.len()
    );
    sandbox.end().await;
}
