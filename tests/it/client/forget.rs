//! Client-server API, "Leaving rooms": forgetting.

use serde_json::{Value, json};

use crate::sandbox::shared;
use crate::user::{Reply, User, enc, texts};

const WITH_LEFT: &str = "&filter=%7B%22room%22%3A%7B%22include_leave%22%3Atrue%7D%7D";

async fn act(user: &User, room: &str, action: &str) -> Reply {
    user.post(&format!("/rooms/{}/{action}", enc(room)), json!({}))
        .await
}

async fn invite(user: &User, room: &str, target: &User) -> Reply {
    let path = format!("/rooms/{}/invite", enc(room));
    user.post(&path, json!({"user_id": target.id})).await
}

fn section(sync: &Value, room: &str) -> Option<String> {
    let sections = sync["rooms"].as_object()?;
    let mut found = sections.iter().filter(|(_, rooms)| rooms[room].is_object());
    found.next().map(|(name, _)| name.clone())
}

#[tokio::test]
async fn only_who_has_left_forgets() {
    let cluster = shared().await;
    let (alice, bob) = (cluster.user("alice").await, cluster.user("bob").await);
    let room = alice.create_room(json!({"preset": "private_chat"})).await;
    act(&bob, &room, "forget").await.fails(400, "M_UNKNOWN");
    act(&bob, "!unknown:localhost", "forget")
        .await
        .fails(400, "M_UNKNOWN");
    act(&alice, &room, "forget").await.fails(400, "M_UNKNOWN");
    invite(&alice, &room, &bob).await.ok();
    act(&bob, &room, "forget").await.fails(400, "M_UNKNOWN");
    act(&bob, &room, "leave").await.ok();
    // Once and again.
    act(&bob, &room, "forget").await.ok();
    act(&bob, &room, "forget").await.ok();
}

#[tokio::test]
async fn a_forgotten_room_is_gone_everywhere_until_one_comes_back() {
    let cluster = shared().await;
    let readers = cluster.readers();
    let alice = cluster.user("alice").await;
    let bob = cluster.user("bob").await;
    let room = alice.create_room(json!({"preset": "private_chat"})).await;
    invite(&alice, &room, &bob).await.ok();
    bob.join(&room).await.ok();
    alice.say(&room, "before").await;
    // Every instance knows bob's rooms.
    let mut tokens = Vec::new();
    for reader in &readers {
        let sync = bob.at(reader).sync(None, "").await;
        let token = sync["next_batch"].as_str().unwrap().to_owned();
        bob.at(reader).sync(Some(&token), "").await;
        tokens.push(token);
    }
    act(&bob, &room, "leave").await.ok();
    let messages = format!("/rooms/{}/messages?dir=b", enc(&room));
    for reader in &readers {
        let sync = bob.at(reader).sync(None, WITH_LEFT).await;
        assert_eq!(section(&sync, &room).as_deref(), Some("leave"), "{sync}");
        bob.at(reader).get(&messages).await.ok();
    }
    act(&bob.at(&readers[0]), &room, "forget").await.ok();
    for (reader, token) in readers.iter().zip(&tokens) {
        let bob = bob.at(reader);
        for since in [None, Some(token.as_str())] {
            let sync = bob.sync(since, WITH_LEFT).await;
            assert_eq!(section(&sync, &room), None, "{sync}");
        }
        bob.get(&messages).await.fails(403, "M_FORBIDDEN");
        for path in ["state", "members"] {
            let path = format!("/rooms/{}/{path}", enc(&room));
            bob.get(&path).await.fails(403, "M_FORBIDDEN");
        }
    }
    // What happens there now is not for him, until he is invited again.
    alice.say(&room, "without him").await;
    for (reader, token) in readers.iter().zip(&mut tokens) {
        let sync = bob.at(reader).sync(Some(token), "").await;
        assert_eq!(section(&sync, &room), None, "{sync}");
        *token = sync["next_batch"].as_str().unwrap().to_owned();
    }
    invite(&alice, &room, &bob).await.ok();
    for (reader, token) in readers.iter().zip(&mut tokens) {
        let sync = bob.at(reader).sync(Some(token), "").await;
        assert_eq!(section(&sync, &room).as_deref(), Some("invite"), "{sync}");
        *token = sync["next_batch"].as_str().unwrap().to_owned();
    }
    act(&bob, &room, "forget").await.fails(400, "M_UNKNOWN");
    bob.join(&room).await.ok();
    for (reader, token) in readers.iter().zip(&tokens) {
        let bob = bob.at(reader);
        let sync = bob.sync(Some(token), "").await;
        let joined = &sync["rooms"]["join"][&room];
        let state = joined["state"]["events"].as_array().unwrap().len();
        let timeline = joined["timeline"]["events"].as_array().unwrap().len();
        assert!(
            state + timeline > 5,
            "all of it is new to the client: {sync}"
        );
        let page = bob.get(&messages).await.ok();
        assert!(
            texts(&page["chunk"]).contains(&"before".to_owned()),
            "{page}"
        );
    }
}

#[tokio::test]
async fn what_was_forgotten_may_be_forgotten_again() {
    let cluster = shared().await;
    let (alice, bob) = (cluster.user("alice").await, cluster.user("bob").await);
    let room = alice.create_room(json!({"preset": "public_chat"})).await;
    let mut since = bob.sync(None, "").await["next_batch"].clone();
    for _ in 0..3 {
        bob.join(&room).await.ok();
        let sync = bob.sync(since.as_str(), "").await;
        assert_eq!(section(&sync, &room).as_deref(), Some("join"), "{sync}");
        act(&bob, &room, "leave").await.ok();
        act(&bob, &room, "forget").await.ok();
        let sync = bob.sync(sync["next_batch"].as_str(), WITH_LEFT).await;
        assert_eq!(section(&sync, &room), None, "{sync}");
        since = sync["next_batch"].clone();
    }
}
