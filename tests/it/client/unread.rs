//! Unread counts: with the event that changes them, on every instance, from memory and from PostgreSQL.

use std::time::Duration;

use ganglion_model::Shard;
use serde_json::{Value, json};

use crate::sandbox::{Shared, connect, eventually, shared};
use crate::user::{User, enc};

struct Talk {
    alice: User,
    bob: User,
    room: String,
}

async fn talk(cluster: &Shared) -> Talk {
    let alice = cluster.user("alice").await;
    let bob = cluster.user("bob").await;
    let room = alice.create_room(json!({"preset": "public_chat"})).await;
    bob.join(&room).await.ok();
    Talk { alice, bob, room }
}

impl Talk {
    async fn mention(&self, mentions: Value) -> String {
        let content = json!({"msgtype": "m.text", "body": "hey", "m.mentions": mentions});
        self.alice
            .send_content(&self.room, "m.room.message", content)
            .await
    }

    async fn read(&self, event: &str, thread: Option<&str>) {
        let path = format!("/rooms/{}/receipt/m.read/{}", enc(&self.room), enc(event));
        let body = thread.map_or(json!({}), |thread| json!({"thread_id": thread}));
        self.bob.post(&path, body).await.ok();
    }

    /// Notifications and highlights, as every instance tells them who has to read them, and as a sync
    /// that goes on from `since` tells them.
    async fn unread(&self, cluster: &Shared, since: &mut Option<String>) -> (i64, i64) {
        let news = self.bob.sync(since.as_deref(), "").await;
        *since = news["next_batch"].as_str().map(str::to_owned);
        let counts = |news: &Value| {
            let counts = &news["rooms"]["join"][&self.room]["unread_notifications"];
            let count = |name: &str| counts[name].as_i64().unwrap_or_else(|| panic!("{news}"));
            (count("notification_count"), count("highlight_count"))
        };
        let found = counts(&news);
        for reader in cluster.readers() {
            let whole = self.bob.at(&reader).sync(None, "").await;
            assert_eq!(counts(&whole), found, "{whole}");
        }
        found
    }

    /// Waits until pusher has judged everything in the room: what comes before a change of rules is
    /// judged by the rules before it.
    async fn judged(&self, cluster: &Shared) {
        let db = connect(&cluster.facts.postgres.primary).await;
        let shard = Shard::of_room(&ruma::RoomId::parse(&self.room).unwrap()).number();
        let head = async |shard: i16| -> i64 {
            let query = "SELECT coalesce(max(last_pos), 0) FROM batches WHERE shard = $1";
            db.query_one(query, &[&shard]).await.unwrap().get(0)
        };
        let wanted = head(shard).await;
        let read = async || head(shard + 64).await >= wanted;
        assert!(eventually(Duration::from_secs(20), read).await);
    }

    async fn by_thread(&self, since: Option<&str>) -> Value {
        let filter = json!({"room": {"timeline": {"unread_thread_notifications": true}}});
        let query = format!("&filter={}", enc(&filter.to_string()));
        let news = self.bob.sync(since, &query).await;
        let room = &news["rooms"]["join"][&self.room];
        json!({
            "main": room["unread_notifications"]["notification_count"],
            "threads": room["unread_thread_notifications"],
        })
    }
}

#[tokio::test]
async fn counts_come_with_their_events_and_go_with_receipts() {
    let cluster = shared().await;
    let talk = talk(cluster).await;
    let mut since = None;
    assert_eq!(talk.unread(cluster, &mut since).await, (0, 0));
    let first = talk.alice.say(&talk.room, "one").await;
    assert_eq!(talk.unread(cluster, &mut since).await, (1, 0));
    talk.alice.say(&talk.room, "two").await;
    let notice = json!({"msgtype": "m.notice", "body": "psst"});
    talk.alice
        .send_content(&talk.room, "m.room.message", notice)
        .await;
    assert_eq!(talk.unread(cluster, &mut since).await, (2, 0));
    talk.mention(json!({"user_ids": [talk.bob.id]})).await;
    assert_eq!(talk.unread(cluster, &mut since).await, (3, 1));
    talk.mention(json!({"user_ids": [talk.alice.id]})).await;
    let last = talk.mention(json!({"room": true})).await;
    assert_eq!(talk.unread(cluster, &mut since).await, (5, 2));
    // In the middle, and then to the end.
    talk.read(&first, None).await;
    assert_eq!(talk.unread(cluster, &mut since).await, (4, 2));
    talk.read(&last, None).await;
    assert_eq!(talk.unread(cluster, &mut since).await, (0, 0));
    talk.alice.say(&talk.room, "three").await;
    assert_eq!(talk.unread(cluster, &mut since).await, (1, 0));
    // Who answers has read.
    talk.bob.say(&talk.room, "four").await;
    assert_eq!(talk.unread(cluster, &mut since).await, (0, 0));
}

#[tokio::test]
async fn a_receipt_of_one_device_changes_the_count_of_another() {
    let cluster = shared().await;
    let talk = talk(cluster).await;
    let phone = User::login(cluster.url(), &talk.bob.id).await;
    let event = talk.alice.say(&talk.room, "one").await;
    let news = phone.sync(None, "").await;
    let room = |news: &Value| news["rooms"]["join"][&talk.room].clone();
    assert_eq!(room(&news)["unread_notifications"]["notification_count"], 1);
    let since = news["next_batch"].as_str().unwrap().to_owned();
    let path = format!("/sync?timeout=20000&since={since}");
    let waiting = async { phone.get(&path).await.ok() };
    let reading = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let path = format!(
            "/rooms/{}/receipt/m.read.private/{}",
            enc(&talk.room),
            enc(&event)
        );
        talk.bob.post(&path, json!({})).await.ok();
    };
    let (news, ()) = tokio::join!(waiting, reading);
    assert_eq!(room(&news)["unread_notifications"]["notification_count"], 0);
}

#[tokio::test]
async fn threads_are_counted_apart() {
    let cluster = shared().await;
    let talk = talk(cluster).await;
    let root = talk.alice.say(&talk.room, "root").await;
    for text in ["a", "b"] {
        talk.alice.relate(&talk.room, "m.thread", &root, text).await;
    }
    let last = talk.alice.relate(&talk.room, "m.thread", &root, "c").await;
    let mut since = None;
    assert_eq!(talk.unread(cluster, &mut since).await, (4, 0));
    let told = talk.by_thread(None).await;
    assert_eq!(
        told,
        json!({"main": 1, "threads": {&root: {"notification_count": 3, "highlight_count": 0}}})
    );
    talk.read(&root, Some("main")).await;
    let told = talk.by_thread(since.as_deref()).await;
    assert_eq!(
        (&told["main"], &told["threads"][&root]["notification_count"]),
        (&json!(0), &json!(3))
    );
    assert_eq!(talk.unread(cluster, &mut since).await, (3, 0));
    talk.read(&last, Some(&root)).await;
    assert_eq!(
        talk.by_thread(None).await,
        json!({"main": 0, "threads": {}})
    );
    assert_eq!(talk.unread(cluster, &mut since).await, (0, 0));
    // An own message in a thread reads that thread.
    talk.alice.say(&talk.room, "more").await;
    talk.alice.relate(&talk.room, "m.thread", &root, "d").await;
    talk.bob.relate(&talk.room, "m.thread", &root, "e").await;
    assert_eq!(talk.unread(cluster, &mut since).await, (1, 0));
    assert_eq!(
        talk.by_thread(None).await,
        json!({"main": 1, "threads": {}})
    );
}

#[tokio::test]
async fn own_rules_decide_what_counts() {
    let cluster = shared().await;
    let talk = talk(cluster).await;
    let rule = json!({"pattern": "cake", "actions": ["notify", {"set_tweak": "highlight"}]});
    talk.bob
        .put("/pushrules/global/content/cake", rule)
        .await
        .ok();
    let mut since = None;
    talk.unread(cluster, &mut since).await;
    talk.alice.say(&talk.room, "there is Cake!").await;
    talk.alice.say(&talk.room, "cakes").await;
    assert_eq!(talk.unread(cluster, &mut since).await, (2, 1));
    talk.judged(cluster).await;
    let path = format!("/pushrules/global/room/{}", enc(&talk.room));
    talk.bob.put(&path, json!({"actions": []})).await.ok();
    talk.alice.say(&talk.room, "nobody hears it").await;
    talk.alice.say(&talk.room, "but cake").await;
    assert_eq!(talk.unread(cluster, &mut since).await, (3, 2));
    talk.judged(cluster).await;
    let master = "/pushrules/global/override/.m.rule.master/enabled";
    talk.bob.put(master, json!({"enabled": true})).await.ok();
    talk.alice.say(&talk.room, "cake again").await;
    assert_eq!(talk.unread(cluster, &mut since).await, (3, 2));
}

#[tokio::test]
async fn what_came_before_a_join_does_not_count() {
    let cluster = shared().await;
    let talk = talk(cluster).await;
    talk.alice.say(&talk.room, "one").await;
    let leave = format!("/rooms/{}/leave", enc(&talk.room));
    talk.bob.post(&leave, json!({})).await.ok();
    talk.alice.say(&talk.room, "two").await;
    talk.bob.join(&talk.room).await.ok();
    let mut since = None;
    assert_eq!(talk.unread(cluster, &mut since).await, (0, 0));
    talk.alice.say(&talk.room, "three").await;
    assert_eq!(talk.unread(cluster, &mut since).await, (1, 0));
}
