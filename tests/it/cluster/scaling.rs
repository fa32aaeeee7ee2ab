//! Instances come and go while people talk: nobody notices.

use std::time::Duration;

use ganglion_launcher::Role;

use super::load::Load;
use super::owners::{instances, rooms_of_all, settled};
use crate::sandbox::{Sandbox, connect};

/// No request is given up: each has to be answered.
const PATIENCE: Duration = Duration::from_secs(60);
const A_WHILE: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn adding_and_draining_fails_no_request() {
    let mut sandbox = Sandbox::start("scaling").await;
    let db = connect(&sandbox.cluster.facts().postgres.primary).await;
    let mut members = Vec::new();
    for name in ["alice", "bob", "carol"] {
        members.push(sandbox.user(name).await);
    }
    let rooms = rooms_of_all(&db, &sandbox.cluster, &members[0], 2).await;
    let load = Load::start(members, rooms, PATIENCE).await;
    load.goes_on(3, A_WHILE).await;

    let before = everybody(&sandbox);
    let third = sandbox.cluster.add(Role::EventPersister).await.unwrap();
    settled(&db, &sandbox.cluster).await;
    load.goes_on(3, A_WHILE).await;
    let first = "event-persister-1";
    let status = sandbox.cluster.drain(first).await.unwrap();
    assert!(status.success(), "{first}: {status}");
    settled(&db, &sandbox.cluster).await;
    load.goes_on(3, A_WHILE).await;

    let fresh = sandbox.cluster.add(Role::ClientReader).await.unwrap();
    load.goes_on(10, A_WHILE).await;
    let reader = "client-reader-1";
    let status = sandbox.cluster.drain(reader).await.unwrap();
    assert!(status.success(), "{reader}: {status}");
    load.goes_on(10, A_WHILE).await;

    // Nobody else was restarted: all that were there before, but the two, have their numbers still.
    let mut after = everybody(&sandbox);
    after.retain(|(name, _)| *name != third && *name != fresh);
    let mut kept = before;
    kept.retain(|(name, _)| name != first && name != reader);
    assert_eq!(after, kept);

    let outcome = load.end().await;
    assert_eq!(outcome.failures, Vec::<String>::new());
    println!("{} acknowledged, no request failed", outcome.acks.len());
    sandbox.end().await;
}

fn everybody(sandbox: &Sandbox) -> Vec<(String, String)> {
    let roles = Role::all().iter();
    roles
        .flat_map(|role| instances(&sandbox.cluster, *role))
        .collect()
}
