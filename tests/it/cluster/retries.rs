//! What is sent twice is done once.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use serde_json::json;
use tokio_postgres::Client;

use super::owners::{process, settled};
use crate::sandbox::{Sandbox, connect, shared};
use crate::user::{Reply, User, enc};

#[tokio::test]
async fn one_transaction_at_two_readers_at_once_is_one_event() {
    let cluster = shared().await;
    let alice = cluster.user("alice").await;
    let room = alice.create_room(json!({})).await;
    let readers: Vec<User> = cluster.readers().iter().map(|url| alice.at(url)).collect();
    let db = connect(&cluster.facts.postgres.primary).await;
    assert_eq!(readers.len(), 2);
    for round in 0..20 {
        twice(&readers, &room, &format!("at once {round}")).await;
    }
    assert_eq!(messages(&db, &room).await, 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_is_remembered_by_the_next_owner() {
    let mut sandbox = Sandbox::start("retries").await;
    let db = connect(&sandbox.cluster.facts().postgres.primary).await;
    let alice = sandbox.user("alice").await;
    let room = alice.create_room(json!({})).await;
    let url = |name: &str| process(&sandbox.cluster, name).http_url.unwrap();
    let readers = ["client-reader-1", "client-reader-2"].map(|name| alice.at(&url(name)));
    let mut first = Vec::new();
    for round in 0..20 {
        first.push(twice(&readers, &room, &format!("before {round}")).await);
    }
    // Both at once: whoever owns the room afterwards has it from the database alone.
    for name in ["event-persister-1", "event-persister-2"] {
        sandbox.cluster.kill(name).await.unwrap();
    }
    for name in ["event-persister-1", "event-persister-2"] {
        sandbox.cluster.restart(name).await.unwrap();
    }
    settled(&db, &sandbox.cluster).await;
    for (round, event) in first.iter().enumerate() {
        let again = twice(&readers, &room, &format!("before {round}")).await;
        assert_eq!(again, *event, "round {round}");
    }
    assert_eq!(messages(&db, &room).await, 20);
    sandbox.end().await;
}

/// The same transaction by way of all readers at once: the one event that all are answered.
async fn twice(readers: &[User], room: &str, txn: &str) -> String {
    let sent = readers.iter().map(|reader| reader.send(room, txn, txn));
    let answers = join_all(sent).await.into_iter().map(Reply::ok);
    let events: BTreeSet<String> = answers
        .map(|answer| answer["event_id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(events.len(), 1, "{txn}: {events:?}");
    events.into_iter().next().unwrap()
}

/// How many messages the database has of a room.
async fn messages(db: &Client, room: &str) -> i64 {
    let query = "SELECT count(*) FROM events e JOIN rooms r ON r.room_nid = e.room_nid \
        JOIN event_types t ON t.type_nid = e.type_nid \
        WHERE r.room_id = $1 AND t.type = 'm.room.message'";
    db.query_one(query, &[&room]).await.unwrap().get(0)
}

#[tokio::test]
async fn a_state_event_that_is_there_already_is_answered_with_its_id() {
    let cluster = shared().await;
    let alice = cluster.user("alice").await;
    let room = alice.create_room(json!({})).await;
    let path = format!("/rooms/{}/state/org.example.thing/key", enc(&room));
    let put = async |value: u8| {
        let done = alice.put(&path, json!({"value": value})).await.ok();
        done["event_id"].as_str().unwrap().to_owned()
    };
    let first = put(1).await;
    assert_eq!(put(1).await, first);
    for reader in cluster.readers() {
        let again = alice.at(&reader).put(&path, json!({"value": 1})).await;
        assert_eq!(again.ok()["event_id"], *first);
    }
    let second = put(2).await;
    assert_ne!(second, first);
    // It is the current one that counts, not any earlier one.
    assert_ne!(put(1).await, first);
}
