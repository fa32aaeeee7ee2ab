//! Pushers share the shards; what they write is neither lost nor doubled when one of them dies.

use std::time::Duration;

use ganglion_launcher::Role;
use serde_json::json;

use crate::sandbox::{Sandbox, connect, eventually};
use crate::user::enc;

/// Rooms and messages in each, half of them before the kill.
const ROOMS: usize = 6;
const EACH: usize = 20;

#[tokio::test]
async fn a_pusher_dies_and_nothing_is_lost_or_doubled() {
    let mut sandbox = Sandbox::start("pusher").await;
    let db = connect(&sandbox.cluster.facts().postgres.primary).await;
    let shares = "SELECT count(*) FROM shards WHERE shard >= 64 AND owner IS NOT NULL \
        GROUP BY owner ORDER BY 1";
    let shared = async || {
        let rows = db.query(shares, &[]).await.unwrap();
        let counts: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
        counts == [16, 16]
    };
    assert!(eventually(Duration::from_secs(30), shared).await);
    let alice = sandbox.user("alice").await;
    let bob = sandbox.user("bob").await;
    let carol = sandbox.user("carol").await;
    let mut rooms = Vec::new();
    for _ in 0..ROOMS {
        let room = alice.create_room(json!({"preset": "public_chat"})).await;
        bob.join(&room).await.ok();
        carol.join(&room).await.ok();
        let path = format!("/pushrules/global/room/{}", enc(&room));
        bob.put(&path, json!({"actions": []})).await.ok();
        rooms.push(room);
    }
    let say = async |text: &str| {
        for room in &rooms {
            for _ in 0..EACH / 2 {
                alice.say(room, text).await;
            }
        }
    };
    say("before").await;
    let facts = sandbox.cluster.facts();
    let pusher = facts
        .processes
        .iter()
        .find(|process| process.role == Role::Pusher)
        .unwrap();
    sandbox.cluster.kill(&pusher.name).await.unwrap();
    say("after").await;
    // One row for each message and nobody but the one who does not want to hear of it.
    let query = "SELECT u.user_id, count(*), sum(x.notify)::bigint FROM notification_exceptions x \
        JOIN users u ON u.user_nid = x.user_nid GROUP BY 1";
    let all = i64::try_from(ROOMS * EACH).unwrap();
    let complete = async || {
        let rows = db.query(query, &[]).await.unwrap();
        let found: Vec<(String, i64, i64)> = rows
            .iter()
            .map(|row| (row.get(0), row.get(1), row.get(2)))
            .collect();
        found == [(bob.id.clone(), all, -all)]
    };
    assert!(
        eventually(Duration::from_secs(30), complete).await,
        "{:?}",
        db.query(query, &[]).await.unwrap()
    );
    for (user, count) in [(&bob, 0), (&carol, EACH)] {
        let news = user.sync(None, "").await;
        for room in &rooms {
            let counts = &news["rooms"]["join"][room]["unread_notifications"];
            assert_eq!(counts["notification_count"], json!(count), "{news}");
        }
    }
    sandbox.end().await;
}
