//! `GET /rooms/{roomId}/initialSync` and the deprecated `GET /events/{eventId}`.

use reqwest::Method;
use serde_json::{Value, json};

use crate::sandbox::shared;
use crate::user::{Reply, User, enc, request, texts};

fn initial_sync(room: &str) -> String {
    format!("/rooms/{}/initialSync", enc(room))
}

async fn event(user: &User, event: &str) -> Reply {
    user.get(&format!("/events/{}", enc(event))).await
}

async fn act(user: &User, room: &str, action: &str, body: Value) {
    let path = format!("/rooms/{}/{action}", enc(room));
    user.post(&path, body).await.ok();
}

async fn set(user: &User, room: &str, event_type: &str, content: Value) {
    let path = format!("/rooms/{}/state/{event_type}", enc(room));
    user.put(&path, content).await.ok();
}

fn with_visibility(visibility: &str) -> Value {
    json!({
        "preset": "public_chat",
        "initial_state": [{
            "type": "m.room.history_visibility", "state_key": "",
            "content": {"history_visibility": visibility},
        }],
    })
}

/// The one event of a state in a slot.
#[track_caller]
fn slot<'a>(got: &'a Value, event_type: &str, state_key: &str) -> &'a Value {
    let state = got["state"].as_array().unwrap().iter();
    let mut found = state.filter(|e| e["type"] == event_type && e["state_key"] == state_key);
    let event = found.next().unwrap_or(&Value::Null);
    assert!(found.next().is_none(), "{got}");
    event
}

async fn page(user: &User, room: &str, dir: &str, from: &Value) -> Value {
    let from = from.as_str().unwrap();
    let path = format!(
        "/rooms/{}/messages?limit=100&dir={dir}&from={from}",
        enc(room)
    );
    user.get(&path).await.ok()
}

#[tokio::test]
async fn a_joined_room_is_told_as_it_is() {
    let cluster = shared().await;
    let alice = cluster.user("alice").await;
    let bob = cluster.user("bob").await;
    let room = alice
        .create_room(json!({"preset": "public_chat", "visibility": "public"}))
        .await;
    bob.join(&room).await.ok();
    for n in 0..12 {
        alice.say(&room, &format!("m{n}")).await;
    }
    set(&alice, &room, "m.room.name", json!({"name": "N"})).await;
    let tag = format!("/user/{}/rooms/{}/tags/u.x", enc(&bob.id), enc(&room));
    bob.put(&tag, json!({"order": 0.5})).await.ok();
    let data = format!(
        "/user/{}/rooms/{}/account_data/org.example.x",
        enc(&bob.id),
        enc(&room)
    );
    bob.put(&data, json!({"a": [1]})).await.ok();
    for reader in cluster.readers() {
        let bob = bob.at(&reader);
        for version in ["v3", "r0"] {
            let path = format!("/_matrix/client/{version}{}", initial_sync(&room));
            let got = request(Method::GET, &bob.url, &path, Some(&bob.token), None).await;
            let got = got.ok();
            assert_eq!(got["room_id"], *room);
            assert_eq!(got["membership"], "join");
            assert_eq!(got["visibility"], "public");
            let mut account_data = got["account_data"].as_array().unwrap().clone();
            account_data.sort_by_key(|data| data["type"].to_string());
            assert_eq!(
                account_data,
                [
                    json!({"type": "m.tag", "content": {"tags": {"u.x": {"order": 0.5}}}}),
                    json!({"type": "org.example.x", "content": {"a": [1]}}),
                ]
            );
            // The newest ten events, the oldest first.
            let chunk = got["messages"]["chunk"].as_array().unwrap();
            assert_eq!(chunk.len(), 10);
            assert_eq!(chunk[9]["content"]["name"], "N");
            let wanted: Vec<String> = (3..12).map(|n| format!("m{n}")).collect();
            assert_eq!(texts(&got["messages"]["chunk"]), wanted);
            for event in chunk.iter().chain(got["state"].as_array().unwrap()) {
                assert_eq!(event["room_id"], *room, "{event}");
                assert!(event["event_id"].is_string(), "{event}");
            }
            // The state is that of now.
            assert_eq!(slot(&got, "m.room.name", "")["content"]["name"], "N");
            for user in [&alice.id, &bob.id] {
                let member = slot(&got, "m.room.member", user);
                assert_eq!(member["content"]["membership"], "join");
            }
            let whole = format!("/rooms/{}/state", enc(&room));
            let whole = bob.get(&whole).await.ok();
            assert_eq!(
                got["state"].as_array().unwrap().len(),
                whole.as_array().unwrap().len()
            );
            // Both tokens lead on.
            let before = page(&bob, &room, "b", &got["messages"]["start"]).await;
            assert_eq!(texts(&before["chunk"]), ["m2", "m1", "m0"]);
            let after = page(&bob, &room, "f", &got["messages"]["end"]).await;
            assert_eq!(after["chunk"], json!([]));
        }
    }
    let got = bob.get(&initial_sync(&room)).await.ok();
    alice.say(&room, "later").await;
    let after = page(&bob, &room, "f", &got["messages"]["end"]).await;
    assert_eq!(texts(&after["chunk"]), ["later"]);
}

#[tokio::test]
async fn a_short_private_room_has_no_start() {
    let cluster = shared().await;
    let alice = cluster.user("alice").await;
    let room = alice.create_room(json!({"preset": "private_chat"})).await;
    let got = alice.get(&initial_sync(&room)).await.ok();
    assert_eq!(got["visibility"], "private");
    assert_eq!(got["account_data"], json!([]));
    let chunk = got["messages"]["chunk"].as_array().unwrap();
    assert_eq!(chunk[0]["type"], "m.room.create");
    assert!(got["messages"]["end"].is_string(), "{got}");
    assert!(got["messages"].get("start").is_none(), "{got}");
}

#[tokio::test]
async fn a_room_that_was_left_is_told_as_it_was_then() {
    let cluster = shared().await;
    let alice = cluster.user("alice").await;
    let bob = cluster.user("bob").await;
    let room = alice.create_room(json!({"preset": "public_chat"})).await;
    bob.join(&room).await.ok();
    set(&alice, &room, "m.room.name", json!({"name": "then"})).await;
    alice.say(&room, "before").await;
    act(&bob, &room, "leave", json!({})).await;
    set(&alice, &room, "m.room.name", json!({"name": "now"})).await;
    let hidden = alice.say(&room, "after").await;
    let as_then = async |membership: &str| {
        for reader in cluster.readers() {
            let bob = bob.at(&reader);
            let got = bob.get(&initial_sync(&room)).await.ok();
            assert_eq!(got["membership"], membership);
            assert_eq!(slot(&got, "m.room.name", "")["content"]["name"], "then");
            let member = slot(&got, "m.room.member", &bob.id);
            assert_eq!(member["content"]["membership"], "leave");
            assert_eq!(texts(&got["messages"]["chunk"]), ["before"]);
            let chunk = got["messages"]["chunk"].as_array().unwrap();
            assert_eq!(chunk.last().unwrap()["content"]["membership"], "leave");
            assert!(!got.to_string().contains(&hidden), "{got}");
            let before = page(&bob, &room, "b", &got["messages"]["end"]).await;
            assert_eq!(texts(&before["chunk"]), ["before"]);
        }
    };
    as_then("leave").await;
    // An invitation alone shows no more; neither does a ban.
    act(&alice, &room, "invite", json!({"user_id": bob.id})).await;
    as_then("invite").await;
    act(&alice, &room, "ban", json!({"user_id": bob.id})).await;
    as_then("ban").await;
    act(&alice, &room, "unban", json!({"user_id": bob.id})).await;
    act(&bob, &room, "forget", json!({})).await;
    let got = bob.get(&initial_sync(&room)).await;
    got.fails(403, "M_FORBIDDEN");
    // Back again, bob is told of now.
    bob.join(&room).await.ok();
    let got = bob.get(&initial_sync(&room)).await.ok();
    assert_eq!(slot(&got, "m.room.name", "")["content"]["name"], "now");
    assert_eq!(texts(&got["messages"]["chunk"]), ["before", "after"]);
}

#[tokio::test]
async fn who_was_never_in_the_room_sees_it_if_it_is_readable_for_all() {
    let cluster = shared().await;
    let alice = cluster.user("alice").await;
    let bob = cluster.user("bob").await;
    let open = alice.create_room(with_visibility("world_readable")).await;
    let said = alice.say(&open, "to all").await;
    let got = bob.get(&initial_sync(&open)).await.ok();
    assert!(got.get("membership").is_none(), "{got}");
    assert_eq!(texts(&got["messages"]["chunk"]), ["to all"]);
    let member = slot(&got, "m.room.member", &alice.id);
    assert_eq!(member["content"]["membership"], "join");
    event(&bob, &said).await.ok();
    act(&alice, &open, "invite", json!({"user_id": bob.id})).await;
    let got = bob.get(&initial_sync(&open)).await.ok();
    assert_eq!(got["membership"], "invite");
    // What is said after it is closed is not for him, nor is the room.
    let closed = json!({"history_visibility": "shared"});
    set(&alice, &open, "m.room.history_visibility", closed).await;
    let got = bob.get(&initial_sync(&open)).await;
    got.fails(403, "M_FORBIDDEN");
    let hidden = alice.say(&open, "to us").await;
    event(&bob, &hidden).await.fails(404, "M_NOT_FOUND");
}

#[tokio::test]
async fn others_learn_nothing_of_a_room() {
    let cluster = shared().await;
    let alice = cluster.user("alice").await;
    let bob = cluster.user("bob").await;
    let room = alice.create_room(json!({"preset": "private_chat"})).await;
    let denied = bob.get(&initial_sync(&room)).await;
    denied.fails(403, "M_FORBIDDEN");
    // As a room that is not there.
    let unknown = bob.get(&initial_sync("!unknown:localhost")).await;
    assert_eq!((denied.status, denied.body), (unknown.status, unknown.body));
    act(&alice, &room, "invite", json!({"user_id": bob.id})).await;
    let invited = bob.get(&initial_sync(&room)).await;
    invited.fails(403, "M_FORBIDDEN");
    let nonsense = bob.get(&initial_sync("nonsense")).await;
    nonsense.fails(400, "M_INVALID_PARAM");
    for path in [initial_sync(&room), "/events/$x".to_owned()] {
        let path = format!("/_matrix/client/v3{path}");
        let get = async |token| request(Method::GET, &bob.url, &path, token, None).await;
        get(None).await.fails(401, "M_MISSING_TOKEN");
        get(Some("gst_00000000_AAAA"))
            .await
            .fails(401, "M_UNKNOWN_TOKEN");
    }
}

#[tokio::test]
async fn an_event_without_its_room_is_found_by_who_may_see_it() {
    let cluster = shared().await;
    let alice = cluster.user("alice").await;
    let bob = cluster.user("bob").await;
    // In several shards.
    for version in ["11", "12", "11", "12"] {
        let room = alice
            .create_room(json!({"preset": "private_chat", "room_version": version}))
            .await;
        let said = alice.say(&room, "hello").await;
        alice.relate(&room, "m.replace", &said, "edited").await;
        let in_room = format!("/rooms/{}/event/{}", enc(&room), enc(&said));
        for reader in cluster.readers() {
            let alice = alice.at(&reader);
            let mut got = event(&alice, &said).await.ok();
            assert_eq!(got["room_id"], *room);
            assert_eq!(got["content"]["body"], "hello");
            // It is the event that the room's own endpoint gives, with what relates to it.
            let mut same = alice.get(&in_room).await.ok();
            for event in [&mut got, &mut same] {
                let ages = ["/unsigned", "/unsigned/m.relations/m.replace/unsigned"];
                for age in ages {
                    let unsigned = event.pointer_mut(age).unwrap();
                    unsigned.as_object_mut().unwrap().remove("age").unwrap();
                }
            }
            assert_eq!(got, same);
            event(&bob.at(&reader), &said)
                .await
                .fails(404, "M_NOT_FOUND");
        }
        let path = format!("/_matrix/client/r0/events/{}", enc(&said));
        let old = request(Method::GET, &alice.url, &path, Some(&alice.token), None).await;
        assert_eq!(old.ok()["event_id"], *said);
    }
}

#[tokio::test]
async fn events_that_are_hidden_ignored_or_not_there_are_not_found() {
    let cluster = shared().await;
    let alice = cluster.user("alice").await;
    let bob = cluster.user("bob").await;
    let room = alice.create_room(with_visibility("joined")).await;
    let before = alice.say(&room, "before").await;
    bob.join(&room).await.ok();
    let seen = alice.say(&room, "seen").await;
    event(&bob, &before).await.fails(404, "M_NOT_FOUND");
    event(&bob, &seen).await.ok();
    let missing = event(&bob, "$unknown").await;
    missing.fails(404, "M_NOT_FOUND");
    assert_eq!(event(&bob, &before).await.body, missing.body);
    event(&bob, "nonsense").await.fails(400, "M_INVALID_PARAM");
    // What was seen stays visible to who has left; what came then is not.
    act(&bob, &room, "leave", json!({})).await;
    let after = alice.say(&room, "after").await;
    event(&bob, &seen).await.ok();
    event(&bob, &after).await.fails(404, "M_NOT_FOUND");
    bob.join(&room).await.ok();
    let path = format!("/user/{}/account_data/m.ignored_user_list", enc(&bob.id));
    let list = json!({"ignored_users": {&alice.id: {}}});
    bob.put(&path, list).await.ok();
    event(&bob, &seen).await.fails(404, "M_NOT_FOUND");
    let got = bob.get(&initial_sync(&room)).await.ok();
    assert_eq!(texts(&got["messages"]["chunk"]), Vec::<String>::new());
}
