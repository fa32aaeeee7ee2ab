//! Reads go to a replica that may be behind, and nobody sees an older state than before.

use std::time::Duration;

use ganglion_launcher::Store;
use serde_json::{Value, json};
use tokio_postgres::Client;

use super::owners::process;
use crate::sandbox::{Sandbox, connect, eventually, metric};
use crate::user::{User, enc, texts};

const ROUNDS: usize = 30;
const A_WHILE: Duration = Duration::from_secs(20);

/// One person, by way of either client-reader: writes at one, reads at the other.
struct Pair {
    writer: User,
    reader: User,
    /// Somebody who joins and leaves.
    guest: User,
    room: String,
    /// Of the reader's process.
    admin: String,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_sees_what_was_written_before_whatever_the_replica_has() {
    let mut sandbox = Sandbox::start("replica").await;
    let [one, two] = [1, 2].map(|n| process(&sandbox.cluster, &format!("client-reader-{n}")));
    let (one_url, two_url) = (one.http_url.unwrap(), two.http_url.unwrap());
    let alice = sandbox.user("alice").await;
    let guest = sandbox.user("guest").await.at(&one_url);
    let room = alice.create_room(json!({"preset": "public_chat"})).await;
    let pair = Pair {
        writer: alice.at(&one_url),
        reader: alice.at(&two_url),
        guest,
        room,
        admin: two.admin_url,
    };

    sandbox.cluster.set_replica_delay(500).await.unwrap();
    let before = pair.reads("primary_behind").await;
    for round in 0..ROUNDS {
        pair.round(round).await;
    }
    let behind = pair.reads("primary_behind").await - before;
    println!("{behind} reads went to the primary because the replica was behind");
    // Each round has more reads than this; the replica shows nothing of the last half second.
    assert!(behind >= 5.0 * ROUNDS as f64, "{behind}");

    sandbox.cluster.set_replica_delay(0).await.unwrap();
    let facts = sandbox.cluster.facts().postgres;
    caught_up(&connect(&facts.primary).await, &facts.replica).await;
    let before = pair.reads("replica").await;
    for round in ROUNDS..2 * ROUNDS {
        pair.round(round).await;
    }
    let replica = pair.reads("replica").await - before;
    println!("{replica} reads went to the replica");
    // A busy machine's replica may miss its 15 ms now and then.
    assert!(replica >= 4.0 * ROUNDS as f64, "{replica}");

    sandbox.cluster.kill_store(Store::Replica).await.unwrap();
    let before = pair.reads("primary_failed").await;
    for round in 2 * ROUNDS..2 * ROUNDS + 5 {
        pair.round(round).await;
    }
    assert!(pair.reads("primary_failed").await > before);

    // The replica is used again when it is back.
    sandbox.cluster.start_store(Store::Replica).await.unwrap();
    let before = pair.reads("replica").await;
    let mut round = 3 * ROUNDS;
    let used_again = async || {
        round += 1;
        pair.account_data(round).await;
        pair.reads("replica").await > before
    };
    assert!(eventually(A_WHILE, used_again).await);
    sandbox.end().await;
}

async fn caught_up(primary: &Client, replica: &str) {
    let lsn = "SELECT pg_current_wal_flush_lsn()::text";
    let lsn: String = primary.query_one(lsn, &[]).await.unwrap().get(0);
    let replica = connect(replica).await;
    let query = "SELECT pg_last_wal_replay_lsn() >= $1::text::pg_lsn";
    let has_it = async || -> bool { replica.query_one(query, &[&lsn]).await.unwrap().get(0) };
    assert!(eventually(A_WHILE, has_it).await);
}

impl Pair {
    /// How many reads of the reader's process went there.
    async fn reads(&self, to: &str) -> f64 {
        let label = format!("to=\"{to}\"");
        metric(&self.admin, "ganglion_storage_reads_total", &label).await
    }

    /// Writes one of each kind, and reads it at once at the other client-reader.
    async fn round(&self, round: usize) {
        self.state(round).await;
        self.members(round).await;
        self.account_data(round).await;
        self.profile(round).await;
        self.message(round).await;
    }

    fn path(&self, rest: &str) -> String {
        format!("/rooms/{}/{rest}", enc(&self.room))
    }

    async fn state(&self, round: usize) {
        let path = self.path("state/m.room.topic");
        let topic = json!({"topic": format!("round {round}")});
        self.writer.put(&path, topic.clone()).await.ok();
        let read = self.reader.get(&path).await.ok();
        assert_eq!(read["topic"], topic["topic"], "round {round}");
    }

    /// The guest comes in even rounds and goes in odd ones.
    async fn members(&self, round: usize) {
        let comes = round.is_multiple_of(2);
        if comes {
            self.guest.join(&self.room).await.ok();
        } else {
            self.guest.post(&self.path("leave"), json!({})).await.ok();
        }
        let read = self.reader.get(&self.path("joined_members")).await.ok();
        let is_in = read["joined"].get(&self.guest.id).is_some();
        assert_eq!(is_in, comes, "round {round}: {read}");
    }

    async fn account_data(&self, round: usize) {
        let path = format!(
            "/user/{}/account_data/org.example.round",
            enc(&self.writer.id)
        );
        self.writer.put(&path, json!({"round": round})).await.ok();
        let read = self.reader.get(&path).await.ok();
        assert_eq!(read, json!({"round": round}));
    }

    async fn profile(&self, round: usize) {
        let path = format!("/profile/{}/displayname", enc(&self.writer.id));
        let name = json!({"displayname": format!("Alice {round}")});
        self.writer.put(&path, name.clone()).await.ok();
        assert_eq!(self.reader.get(&path).await.ok(), name);
    }

    /// In all the ways in which it can be read.
    async fn message(&self, round: usize) {
        let text = format!("message {round}");
        let event = self.writer.say(&self.room, &text).await;
        let page = self.reader.get(&self.path("messages?dir=b&limit=5")).await;
        self.newest(&page.ok()["chunk"], &event, round);

        let event = self.writer.say(&self.room, &text).await;
        let path = self.path(&format!("event/{}", enc(&event)));
        let read = self.reader.get(&path).await.ok();
        assert_eq!(read["content"]["body"], *text, "round {round}");

        let event = self.writer.say(&self.room, &text).await;
        let first = self.reader.sync(None, "").await;
        let timeline = &first["rooms"]["join"][&self.room]["timeline"]["events"];
        assert!(!texts(timeline).is_empty(), "round {round}: {first}");
        self.newest(timeline, &event, round);
    }

    /// The profile's change comes into the room by itself, at any time: it may be newer.
    fn newest(&self, events: &Value, event: &str, round: usize) {
        let events = events.as_array().unwrap();
        let found = events.iter().any(|found| found["event_id"] == event);
        assert!(found, "round {round}: {event} is not in {events:#?}");
    }
}
