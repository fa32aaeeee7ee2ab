//! Profiles, account data, filters, push rules.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::sandbox::{eventually, shared};
use crate::user::{User, enc, request};

#[tokio::test]
async fn a_profile_goes_into_the_rooms() {
    let cluster = shared().await;
    let alice = cluster.user("alice").await;
    let bob = cluster.user("bob").await;
    let mut rooms = Vec::new();
    for _ in 0..5 {
        let room = bob.create_room(json!({"preset": "public_chat"})).await;
        alice.join(&room).await.ok();
        rooms.push(room);
    }
    let field = |name: &str| format!("/profile/{}/{name}", enc(&alice.id));
    alice
        .put(&field("displayname"), json!({"displayname": "Älice"}))
        .await
        .ok();
    alice
        .put(
            &field("avatar_url"),
            json!({"avatar_url": "mxc://localhost/pic"}),
        )
        .await
        .ok();
    alice
        .put(&field("m.tz"), json!({"m.tz": "Europe/Berlin"}))
        .await
        .ok();
    for reader in cluster.readers() {
        // Without an account, too.
        let path = format!("/_matrix/client/v3/profile/{}", enc(&alice.id));
        let profile = request(Method::GET, &reader, &path, None, None).await.ok();
        assert_eq!(
            profile,
            json!({
                "displayname": "Älice", "avatar_url": "mxc://localhost/pic", "m.tz": "Europe/Berlin",
            })
        );
    }
    for room in &rooms {
        let path = format!(
            "/rooms/{}/state/m.room.member/{}",
            enc(room),
            enc(&alice.id)
        );
        let spread = async || {
            let member = bob.get(&path).await.ok();
            member["displayname"] == "Älice" && member["avatar_url"] == "mxc://localhost/pic"
        };
        assert!(eventually(Duration::from_secs(20), spread).await, "{room}");
    }
    // A room that is made or joined later has it at once.
    let room = alice.create_room(json!({})).await;
    let path = format!(
        "/rooms/{}/state/m.room.member/{}",
        enc(&room),
        enc(&alice.id)
    );
    assert_eq!(alice.get(&path).await.ok()["displayname"], "Älice");
    let removed = alice
        .call(Method::DELETE, &field("displayname"), None)
        .await;
    removed.ok();
    alice
        .get(&field("displayname"))
        .await
        .fails(404, "M_NOT_FOUND");
    assert_eq!(
        alice.get(&field("m.tz")).await.ok(),
        json!({"m.tz": "Europe/Berlin"})
    );
}

#[tokio::test]
async fn profiles_refuse() {
    let cluster = shared().await;
    let alice = cluster.user("alice").await;
    let bob = cluster.user("bob").await;
    let field = |name: &str| format!("/profile/{}/{}", enc(&alice.id), enc(name));
    let name = json!({"displayname": "X"});
    bob.put(&field("displayname"), name.clone())
        .await
        .fails(403, "M_FORBIDDEN");
    alice
        .put(&field("displayname"), json!({}))
        .await
        .fails(400, "M_MISSING_PARAM");
    alice
        .put(&field("displayname"), json!({"displayname": 5}))
        .await
        .fails(400, "M_BAD_JSON");
    alice
        .put(&field("avatar_url"), json!({"avatar_url": "http://x"}))
        .await
        .fails(400, "M_BAD_JSON");
    alice
        .put(&field("No Such Key"), json!({"No Such Key": 1}))
        .await
        .fails(400, "M_INVALID_PARAM");
    let long = "x.".repeat(200);
    alice
        .put(&field(&long), json!({long.as_str(): 1}))
        .await
        .fails(400, "M_KEY_TOO_LARGE");
    let big = json!({"org.example.big": "x".repeat(66_000)});
    alice
        .put(&field("org.example.big"), big)
        .await
        .fails(400, "M_PROFILE_TOO_LARGE");
    alice
        .get("/profile/%40nobody%3Alocalhost")
        .await
        .fails(404, "M_NOT_FOUND");
    alice
        .get("/profile/nonsense")
        .await
        .fails(400, "M_INVALID_PARAM");
}

#[tokio::test]
async fn account_data_reaches_the_other_device() {
    let cluster = shared().await;
    let alice = cluster.user("alice").await;
    let phone = User::login(cluster.url(), &alice.id).await;
    let room = alice.create_room(json!({})).await;
    let global = format!("/user/{}/account_data/org.example.g", enc(&alice.id));
    let in_room = format!(
        "/user/{}/rooms/{}/account_data/org.example.r",
        enc(&alice.id),
        enc(&room)
    );
    let since = phone.sync(None, "").await["next_batch"]
        .as_str()
        .unwrap()
        .to_owned();
    alice.get(&global).await.fails(404, "M_NOT_FOUND");
    alice.put(&global, json!({"v": 1.5})).await.ok();
    alice.put(&global, json!({"v": 2.5})).await.ok();
    alice.put(&in_room, json!({"w": 3})).await.ok();
    for reader in cluster.readers() {
        let phone = phone.at(&reader);
        assert_eq!(phone.get(&global).await.ok(), json!({"v": 2.5}));
        assert_eq!(phone.get(&in_room).await.ok(), json!({"w": 3}));
        let news = phone.sync(Some(&since), "").await;
        let event = |kind: &str, content: Value| json!([{"type": kind, "content": content}]);
        assert_eq!(
            news["account_data"]["events"],
            event("org.example.g", json!({"v": 2.5}))
        );
        let events = &news["rooms"]["join"][&room]["account_data"]["events"];
        assert_eq!(*events, event("org.example.r", json!({"w": 3})));
    }
    let bob = cluster.user("bob").await;
    bob.get(&global).await.fails(403, "M_FORBIDDEN");
    bob.put(&global, json!({})).await.fails(403, "M_FORBIDDEN");
    for kind in ["m.push_rules", "m.fully_read"] {
        let path = format!("/user/{}/account_data/{kind}", enc(&alice.id));
        alice.put(&path, json!({})).await.fails(405, "M_BAD_JSON");
    }
    alice.put(&global, json!([])).await.fails(400, "M_BAD_JSON");
}

#[tokio::test]
async fn filters_are_kept_and_used() {
    let cluster = shared().await;
    let alice = cluster.user("alice").await;
    let room = alice.create_room(json!({})).await;
    let path = format!("/user/{}/filter", enc(&alice.id));
    let filter = json!({"room": {"timeline": {"limit": 1, "types": ["m.room.message"]}}});
    let id = alice.post(&path, filter.clone()).await.ok()["filter_id"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(
        alice.post(&path, filter.clone()).await.ok()["filter_id"],
        id
    );
    assert_eq!(alice.get(&format!("{path}/{id}")).await.ok(), filter);
    alice
        .get(&format!("{path}/nothing"))
        .await
        .fails(404, "M_NOT_FOUND");
    alice.say(&room, "one").await;
    alice.say(&room, "two").await;
    for query in [
        format!("&filter={id}"),
        format!("&filter={}", enc(&filter.to_string())),
    ] {
        let timeline = &alice.sync(None, &query).await["rooms"]["join"][&room]["timeline"];
        assert_eq!(timeline["events"].as_array().unwrap().len(), 1);
        assert_eq!(timeline["events"][0]["content"]["body"], "two");
        assert_eq!(timeline["limited"], true);
    }
    alice
        .get("/sync?filter=nothing")
        .await
        .fails(400, "M_INVALID_PARAM");
    alice
        .post(&path, json!({"room": 5}))
        .await
        .fails(400, "M_BAD_JSON");
}
