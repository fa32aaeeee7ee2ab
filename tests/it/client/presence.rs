//! Presence, with the times of production; the short ones are in `cluster/presence.rs`.

use std::time::Duration;

use ganglion_model::SyncToken;
use reqwest::Method;
use serde_json::{Value, json};

use crate::sandbox::{eventually, shared};
use crate::user::{User, enc};

pub(crate) fn path(user: &str) -> String {
    format!("/presence/{}/status", enc(user))
}

/// What a response tells of a user's presence: the last event's content.
pub(crate) fn told(news: &Value, user: &User) -> Option<Value> {
    let events = news["presence"]["events"].as_array()?;
    let mut of_user = events.iter().filter(|event| event["sender"] == user.id);
    let event = of_user.next_back()?;
    assert_eq!(event["type"], "m.presence");
    Some(event["content"].clone())
}

pub(crate) fn token(news: &Value) -> String {
    news["next_batch"].as_str().unwrap().to_owned()
}

/// Syncs, without being there, until a user's presence is told that `is` wanted; the token then.
pub(crate) async fn hear(
    user: &User,
    since: &str,
    of: &User,
    is: impl Fn(&Value) -> bool,
) -> (Value, String) {
    let mut since = since.to_owned();
    let mut heard = Vec::new();
    let end = tokio::time::Instant::now() + Duration::from_secs(20);
    while tokio::time::Instant::now() < end {
        let query = format!("/sync?timeout=2000&set_presence=offline&since={since}");
        let news = user.get(&query).await.ok();
        since = token(&news);
        if let Some(content) = told(&news, of) {
            if is(&content) {
                return (content, since);
            }
            heard.push(content);
        }
    }
    panic!("heard only {heard:?}");
}

pub(crate) async fn hidden(user: &User, since: Option<&str>) -> Value {
    user.sync(since, "&set_presence=offline").await
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
async fn who_syncs_is_online_for_those_who_share_a_room() {
    let (alice, bob, _room) = pair().await;
    let carol = shared().await.user("carol").await;
    let since = token(&hidden(&bob, None).await);
    let carols = token(&hidden(&carol, None).await);
    alice.sync(None, "").await;
    let (content, next) = hear(&bob, &since, &alice, |_| true).await;
    assert_eq!(content["presence"], "online");
    assert_eq!(content["currently_active"], true);
    assert!(content["last_active_ago"].as_i64().unwrap() < 10_000);
    // Once, on every instance; an initial sync tells it, too.
    for reader in shared().await.readers() {
        let bob = bob.at(&reader);
        assert_eq!(told(&hidden(&bob, Some(&next)).await, &alice), None);
        let initial = hidden(&bob, None).await;
        assert_eq!(told(&initial, &alice).unwrap()["presence"], "online");
        let status = bob.get(&path(&alice.id)).await.ok();
        assert_eq!(status["presence"], "online");
        assert_eq!(status["currently_active"], true);
    }
    // Nobody hears of oneself, of strangers, of who hides.
    assert_eq!(told(&hidden(&alice, None).await, &alice), None);
    assert_eq!(told(&hidden(&carol, Some(&carols)).await, &alice), None);
    assert_eq!(told(&hidden(&alice, None).await, &bob), None);
}

#[tokio::test]
async fn set_presence_and_the_filter() {
    let (alice, bob, _room) = pair().await;
    let since = token(&hidden(&bob, None).await);
    alice.sync(None, "&set_presence=unavailable").await;
    let (content, next) = hear(&bob, &since, &alice, |_| true).await;
    assert_eq!(content["presence"], "unavailable");
    assert!(content["currently_active"].is_null());
    // To send a message makes online who was idle.
    let room = alice.create_room(json!({})).await;
    alice.say(&room, "back").await;
    let online = |content: &Value| content["presence"] == "online";
    let (_, next) = hear(&bob, &next, &alice, online).await;
    for presence in [
        json!({"not_types": ["m.presence"]}),
        json!({"types": ["m.other"]}),
        json!({"not_senders": [alice.id]}),
        json!({"senders": [bob.id]}),
        json!({"limit": 0}),
    ] {
        let filter = json!({"presence": presence}).to_string();
        let query = format!("&set_presence=offline&filter={}", enc(&filter));
        let news = bob.sync(Some(&since), &query).await;
        assert_eq!(told(&news, &alice), None, "{filter} {news}");
    }
    // The most present device wins.
    let phone = User::login(&alice.url, &alice.id).await;
    phone.sync(None, "&set_presence=unavailable").await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(bob.get(&path(&alice.id)).await.ok()["presence"], "online");
    let news = hidden(&bob, Some(&next)).await;
    assert_eq!(told(&news, &alice), None, "{news}");
    alice
        .get("/sync?set_presence=busy")
        .await
        .fails(400, "M_INVALID_PARAM");
}

#[tokio::test]
async fn a_status_message_is_set_told_kept_and_taken_away() {
    let (alice, bob, _room) = pair().await;
    let since = token(&hidden(&bob, None).await);
    let body = json!({"presence": "online", "status_msg": "in a meeting"});
    alice.put(&path(&alice.id), body).await.ok();
    let (content, next) = hear(&bob, &since, &alice, |_| true).await;
    assert_eq!(content["status_msg"], "in a meeting");
    assert_eq!(content["presence"], "online");
    let own = alice.get(&path(&alice.id)).await.ok();
    assert_eq!(own["status_msg"], "in a meeting");
    let cluster = shared().await;
    let database = crate::sandbox::connect(&cluster.facts.postgres.primary).await;
    let kept = async || {
        let query = "SELECT p.status_msg FROM presence p JOIN users u USING (user_nid) \
            WHERE u.user_id = $1";
        let row = database.query_one(query, &[&alice.id]).await.unwrap();
        row.get::<_, Option<String>>(0)
    };
    assert_eq!(kept().await.as_deref(), Some("in a meeting"));
    let body = json!({"presence": "unavailable"});
    alice.put(&path(&alice.id), body).await.ok();
    let gone = |content: &Value| content["status_msg"].is_null();
    let (content, next) = hear(&bob, &next, &alice, gone).await;
    assert_eq!(content["presence"], "unavailable");
    assert_eq!(kept().await, None);
    let body = json!({"presence": "offline", "status_msg": "bye"});
    alice.put(&path(&alice.id), body).await.ok();
    let bye = |content: &Value| content["status_msg"] == "bye";
    let (content, _) = hear(&bob, &next, &alice, bye).await;
    assert_eq!(content["presence"], "offline");
}

#[tokio::test]
async fn a_room_that_is_shared_anew_brings_presence() {
    let (alice, bob, room) = pair().await;
    let carol = shared().await.user("carol").await;
    alice.sync(None, "").await;
    carol.sync(None, "").await;
    let is_online = async || bob.get(&path(&alice.id)).await.ok()["presence"] == "online";
    assert!(eventually(Duration::from_secs(5), is_online).await);
    let bobs = token(&hidden(&bob, None).await);
    let carols = token(&hidden(&carol, None).await);
    carol.join(&room).await.ok();
    let (content, _) = hear(&carol, &carols, &alice, |_| true).await;
    assert_eq!(content["presence"], "online");
    let (content, next) = hear(&bob, &bobs, &carol, |_| true).await;
    assert_eq!(content["presence"], "online");
    // Who is ignored is not heard of.
    let ignored = format!("/user/{}/account_data/m.ignored_user_list", enc(&bob.id));
    let list = json!({"ignored_users": {carol.id.clone(): {}}});
    bob.put(&ignored, list).await.ok();
    let body = json!({"presence": "unavailable"});
    carol.put(&path(&carol.id), body).await.ok();
    alice
        .put(&path(&alice.id), json!({"presence": "unavailable"}))
        .await
        .ok();
    let idle = |content: &Value| content["presence"] == "unavailable";
    hear(&bob, &next, &alice, idle).await;
    assert_eq!(told(&hidden(&bob, Some(&next)).await, &carol), None);
}

#[tokio::test]
async fn who_was_never_there_is_offline() {
    let (alice, bob, _room) = pair().await;
    for reader in [&alice, &bob] {
        let told = reader.get(&path(&alice.id)).await.ok();
        assert_eq!(told, json!({"presence": "offline"}));
    }
}

#[tokio::test]
async fn presence_refuses() {
    let (alice, bob, _room) = pair().await;
    let carol = shared().await.user("carol").await;
    let online = json!({"presence": "online"});
    bob.put(&path(&alice.id), online)
        .await
        .fails(403, "M_FORBIDDEN");
    for stranger in [alice.id.as_str(), "@nobody:localhost", "@a:example.org"] {
        carol.get(&path(stranger)).await.fails(403, "M_FORBIDDEN");
    }
    for body in [
        json!({}),
        json!({"presence": "busy"}),
        json!({"presence": 5}),
        json!({"presence": "online", "status_msg": 5}),
        json!({"presence": "online", "status_msg": "x".repeat(1_025)}),
        json!({"presence": "online", "status_msg": "a\u{0}b"}),
    ] {
        let reply = alice.call(Method::PUT, &path(&alice.id), Some(&body)).await;
        assert_eq!(reply.status, 400, "{body} {}", reply.body);
    }
    alice
        .get("/presence/nonsense/status")
        .await
        .fails(400, "M_INVALID_PARAM");
}

#[tokio::test]
async fn a_forged_place_in_a_token_is_no_failure() {
    let (alice, bob, _room) = pair().await;
    alice.sync(None, "").await;
    let since = token(&hidden(&bob, None).await);
    for at in [i64::MAX, i64::MIN] {
        let mut forged = SyncToken::decode(&since).unwrap();
        forged.presence.at = at;
        forged.typing.at = at;
        let news = hidden(&bob, Some(&forged.encode())).await;
        hidden(&bob, Some(&token(&news))).await;
    }
}
