//! Typing notices.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use crate::sandbox::shared;
use crate::user::{User, enc};

/// A notice of `user`, as a request.
fn path(room: &str, user: &str) -> String {
    format!("/rooms/{}/typing/{}", enc(room), enc(user))
}

async fn types(user: &User, room: &str, timeout_ms: u64) {
    let body = json!({"typing": true, "timeout": timeout_ms});
    user.put(&path(room, &user.id), body).await.ok();
}

async fn stops(user: &User, room: &str) {
    let body = json!({"typing": false});
    user.put(&path(room, &user.id), body).await.ok();
}

/// Who types in a room, if the response tells of it.
fn list(news: &Value, room: &str) -> Option<Vec<String>> {
    let events = news["rooms"]["join"][room]["ephemeral"]["events"].as_array()?;
    let event = events.iter().find(|event| event["type"] == "m.typing")?;
    let users = event["content"]["user_ids"].as_array().unwrap();
    Some(
        users
            .iter()
            .map(|u| u.as_str().unwrap().to_owned())
            .collect(),
    )
}

fn token(news: &Value) -> String {
    news["next_batch"].as_str().unwrap().to_owned()
}

/// Syncs until the room's list is told: the list, and the token then.
async fn hear(user: &User, since: &str, room: &str) -> (Vec<String>, String) {
    let mut since = since.to_owned();
    for _ in 0..10 {
        let query = format!("/sync?timeout=10000&since={since}");
        let news = user.get(&query).await.ok();
        since = token(&news);
        if let Some(list) = list(&news, room) {
            return (list, since);
        }
    }
    panic!("nobody types in {room}");
}

/// A room of two, who go by different instances.
async fn pair() -> (User, User, String) {
    let cluster = shared().await;
    let readers = cluster.readers();
    let alice = cluster.user("alice").await.at(&readers[0]);
    let bob = cluster.user("bob").await.at(&readers[1]);
    let room = alice.create_room(json!({"preset": "public_chat"})).await;
    bob.join(&room).await.ok();
    (alice, bob, room)
}

#[tokio::test]
async fn a_notice_wakes_ends_and_is_told_once() {
    let (alice, bob, room) = pair().await;
    let since = token(&bob.sync(None, "").await);
    let began = Instant::now();
    let heard = async { hear(&bob, &since, &room).await };
    let typed = async {
        // Bob waits by then.
        tokio::time::sleep(Duration::from_millis(300)).await;
        types(&alice, &room, 2_000).await;
    };
    let ((users, first), ()) = tokio::join!(heard, typed);
    assert_eq!(users, [alice.id.as_str()]);
    assert!(began.elapsed() < Duration::from_secs(5));
    let again = bob.sync(Some(&first), "").await;
    assert_eq!(list(&again, &room), None, "{again}");
    // A token is good on any instance, and tells the same again.
    for reader in shared().await.readers() {
        let bob = bob.at(&reader);
        assert_eq!(list(&bob.sync(Some(&first), "").await, &room), None);
        assert_eq!(hear(&bob, &since, &room).await.0, [alice.id.as_str()]);
        assert_eq!(
            list(&bob.sync(None, "").await, &room),
            Some(vec![alice.id.clone()])
        );
    }
    // The time ends it, and an empty list tells so.
    let (users, second) = hear(&bob, &first, &room).await;
    assert_eq!(users, Vec::<String>::new());
    let took = began.elapsed();
    assert!(took > Duration::from_millis(1_500), "{took:?}");
    assert_eq!(list(&bob.sync(None, "").await, &room), None);

    types(&alice, &room, 60_000).await;
    let (users, third) = hear(&bob, &second, &room).await;
    assert_eq!(users, [alice.id.as_str()]);
    // Again within the time: nothing new.
    types(&alice, &room, 60_000).await;
    assert_eq!(list(&bob.sync(Some(&third), "").await, &room), None);
    stops(&alice, &room).await;
    assert_eq!(hear(&bob, &third, &room).await.0, Vec::<String>::new());
}

#[tokio::test]
async fn who_leaves_or_is_kicked_does_not_type() {
    let (alice, bob, room) = pair().await;
    let since = token(&alice.sync(None, "").await);
    types(&bob, &room, 60_000).await;
    let (users, since) = hear(&alice, &since, &room).await;
    assert_eq!(users, [bob.id.as_str()]);
    let leave = format!("/rooms/{}/leave", enc(&room));
    bob.post(&leave, json!({})).await.ok();
    let (users, since) = hear(&alice, &since, &room).await;
    assert_eq!(users, Vec::<String>::new());
    bob.join(&room).await.ok();
    types(&bob, &room, 60_000).await;
    let (users, since) = hear(&alice, &since, &room).await;
    assert_eq!(users, [bob.id.as_str()]);
    let kick = format!("/rooms/{}/kick", enc(&room));
    alice.post(&kick, json!({"user_id": bob.id})).await.ok();
    assert_eq!(hear(&alice, &since, &room).await.0, Vec::<String>::new());
}

#[tokio::test]
async fn only_members_hear_and_who_joins_hears_at_once() {
    let (alice, bob, room) = pair().await;
    let carol = shared().await.user("carol").await;
    let since = token(&carol.sync(None, "").await);
    let before = token(&bob.sync(None, "").await);
    types(&alice, &room, 60_000).await;
    hear(&bob, &before, &room).await;
    let news = carol.sync(Some(&since), "").await;
    assert!(news["rooms"]["join"].is_null(), "{news}");
    carol.join(&room).await.ok();
    let (users, _) = hear(&carol, &since, &room).await;
    assert_eq!(users, [alice.id.as_str()]);
}

#[tokio::test]
async fn filters_and_message_have_their_say() {
    let (alice, bob, room) = pair().await;
    let since = token(&bob.sync(None, "").await);
    types(&alice, &room, 60_000).await;
    hear(&bob, &since, &room).await;
    for ephemeral in [
        json!({"not_types": ["m.typing"]}),
        json!({"types": ["m.receipt"]}),
        json!({"not_rooms": [room]}),
        json!({"senders": [alice.id]}),
        json!({"limit": 0}),
    ] {
        let filter = json!({"room": {"ephemeral": ephemeral}}).to_string();
        let query = format!("&filter={}", enc(&filter));
        let news = bob.sync(Some(&since), &query).await;
        assert_eq!(list(&news, &room), None, "{filter} {news}");
    }
    let filter = json!({"room": {"ephemeral": {"types": ["m.t*"], "rooms": [room]}}});
    let query = format!("&filter={}", enc(&filter.to_string()));
    let news = bob.sync(Some(&since), &query).await;
    assert_eq!(list(&news, &room), Some(vec![alice.id.clone()]));
    // The specification does not say that a message ends it.
    alice.say(&room, "done").await;
    assert_eq!(
        list(&bob.sync(None, "").await, &room),
        Some(vec![alice.id.clone()])
    );
}

#[tokio::test]
async fn typing_refuses() {
    let (alice, bob, room) = pair().await;
    let carol = shared().await.user("carol").await;
    let typing = json!({"typing": true, "timeout": 1000});
    bob.put(&path(&room, &alice.id), typing.clone())
        .await
        .fails(403, "M_FORBIDDEN");
    carol
        .put(&path(&room, &carol.id), typing.clone())
        .await
        .fails(403, "M_FORBIDDEN");
    alice
        .put(&path("!unknown:localhost", &alice.id), typing)
        .await
        .fails(403, "M_FORBIDDEN");
    // Only who stops may leave out how long.
    for body in [
        json!({}),
        json!({"typing": "yes", "timeout": 1}),
        json!({"typing": true}),
        json!({"typing": true, "timeout": -5}),
        json!({"typing": true, "timeout": "x"}),
    ] {
        let reply = alice
            .call(Method::PUT, &path(&room, &alice.id), Some(&body))
            .await;
        assert_eq!(reply.status, 400, "{body} {}", reply.body);
    }
    // Longer than anybody types: not refused, but bounded.
    types(&alice, &room, 9_000_000_000).await;
    stops(&alice, &room).await;
}
