//! Tags of rooms.

use reqwest::Method;
use serde_json::{Value, json};

use crate::sandbox::shared;
use crate::user::{User, enc};

fn tags_of(user: &User, room: &str) -> String {
    format!("/user/{}/rooms/{}/tags", enc(&user.id), enc(room))
}

#[tokio::test]
async fn tags_are_set_changed_and_taken_away() {
    let cluster = shared().await;
    let alice = cluster.user("alice").await;
    let room = alice.create_room(json!({})).await;
    let tags = tags_of(&alice, &room);
    assert_eq!(alice.get(&tags).await.ok(), json!({"tags": {}}));
    let since = alice.sync(None, "").await["next_batch"].clone();
    let put = async |tag: &str, content: Value| {
        let path = format!("{tags}/{}", enc(tag));
        alice.put(&path, content).await.ok()
    };
    assert_eq!(put("m.favourite", json!({"order": 0.1})).await, json!({}));
    put(
        "u.Wörk/1",
        json!({"order": 1, "org.example": {"kept": 0.5}}),
    )
    .await;
    put("old", json!({})).await;
    let wanted = json!({"tags": {
        "m.favourite": {"order": 0.1},
        "u.Wörk/1": {"order": 1, "org.example": {"kept": 0.5}},
        "old": {},
    }});
    for reader in cluster.readers() {
        assert_eq!(alice.at(&reader).get(&tags).await.ok(), wanted);
    }
    let news = alice.sync(since.as_str(), "").await;
    let data = &news["rooms"]["join"][&room]["account_data"]["events"];
    assert_eq!(
        data,
        &json!([{"type": "m.tag", "content": wanted}]),
        "{news}"
    );
    let since = news["next_batch"].as_str();
    for _ in 0..2 {
        let path = format!("{tags}/old");
        let gone = alice.call(Method::DELETE, &path, None).await;
        assert_eq!(gone.ok(), json!({}));
    }
    put("m.favourite", json!({"order": 0.1})).await;
    let left = alice.get(&tags).await.ok();
    assert_eq!(left["tags"].as_object().unwrap().len(), 2, "{left}");
    let news = alice.sync(since, "").await;
    let data = &news["rooms"]["join"][&room]["account_data"]["events"];
    assert_eq!(data[0]["content"], left, "{news}");
}

#[tokio::test]
async fn devices_that_tag_at_once_lose_nothing() {
    let cluster = shared().await;
    let alice = cluster.user("alice").await;
    let room = alice.create_room(json!({})).await;
    let tags = tags_of(&alice, &room);
    let readers = cluster.readers();
    let puts = (0..20).map(|number| {
        let device = alice.at(&readers[number % readers.len()]);
        let path = format!("{tags}/u.{number}");
        async move { device.put(&path, json!({"order": 0.5})).await.ok() }
    });
    futures_util::future::join_all(puts).await;
    let all = alice.get(&tags).await.ok();
    assert_eq!(all["tags"].as_object().unwrap().len(), 20, "{all}");
}

#[tokio::test]
async fn tags_refuse() {
    let cluster = shared().await;
    let alice = cluster.user("alice").await;
    let bob = cluster.user("bob").await;
    let room = alice.create_room(json!({})).await;
    let tags = tags_of(&alice, &room);
    let one = format!("{tags}/u.one");
    bob.get(&tags).await.fails(403, "M_FORBIDDEN");
    bob.put(&one, json!({})).await.fails(403, "M_FORBIDDEN");
    bob.call(Method::DELETE, &one, None)
        .await
        .fails(403, "M_FORBIDDEN");
    for (content, errcode) in [
        (json!({"order": 1.01}), "M_INVALID_PARAM"),
        (json!({"order": -0.5}), "M_INVALID_PARAM"),
        (json!({"order": "0.5"}), "M_BAD_JSON"),
        (json!({"order": null}), "M_BAD_JSON"),
        (json!([]), "M_BAD_JSON"),
    ] {
        alice.put(&one, content).await.fails(400, errcode);
    }
    let named = async |length: usize| {
        let path = format!("{tags}/{}", "x".repeat(length));
        alice.put(&path, json!({})).await
    };
    named(255).await.ok();
    named(256).await.fails(400, "M_INVALID_PARAM");
    let big = json!({"big": "x".repeat(66_000)});
    alice.put(&one, big).await.fails(413, "M_TOO_LARGE");
    let unknown = tags_of(&alice, "!unknown:localhost");
    assert_eq!(alice.get(&unknown).await.ok(), json!({"tags": {}}));
    alice
        .put(&format!("{unknown}/u.one"), json!({}))
        .await
        .fails(404, "M_NOT_FOUND");
    // As account data anything may be set; then there are no tags.
    let whole = format!(
        "/user/{}/rooms/{}/account_data/m.tag",
        enc(&alice.id),
        enc(&room)
    );
    alice.put(&whole, json!({"tags": 5})).await.ok();
    assert_eq!(alice.get(&tags).await.ok(), json!({"tags": {}}));
    let many: serde_json::Map<String, Value> =
        (0..100).map(|n| (format!("u.{n}"), json!({}))).collect();
    alice.put(&whole, json!({"tags": many})).await.ok();
    alice
        .put(&one, json!({}))
        .await
        .fails(400, "M_LIMIT_EXCEEDED");
    alice
        .put(&format!("{tags}/u.7"), json!({"order": 0}))
        .await
        .ok();
}
