//! Client-server API, "Event Context".

use serde_json::{Value, json};

use crate::sandbox::shared;
use crate::user::{enc, texts};

fn path(room: &str, event: &str, query: &str) -> String {
    format!("/rooms/{}/context/{}?{query}", enc(room), enc(event))
}

fn keys(events: &Value, event_type: &str) -> Vec<String> {
    let events = events.as_array().unwrap().iter();
    events
        .filter(|event| event["type"] == event_type)
        .map(|event| event["state_key"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn what_came_before_and_after_and_where_it_goes_on() {
    let cluster = shared().await;
    let alice = cluster.user("alice").await;
    let room = alice.create_room(json!({})).await;
    let mut events = Vec::new();
    for n in 0..20 {
        events.push(alice.say(&room, &format!("m{n}")).await);
    }
    let name = format!("/rooms/{}/state/m.room.name", enc(&room));
    alice.put(&name, json!({"name": "later"})).await.ok();
    for reader in cluster.readers() {
        let alice = alice.at(&reader);
        let got = alice.get(&path(&room, &events[10], "limit=5")).await.ok();
        assert_eq!(got["event"]["event_id"], events[10]);
        assert_eq!(got["event"]["room_id"], room);
        assert_eq!(texts(&got["events_before"]), ["m9", "m8"]);
        assert_eq!(texts(&got["events_after"]), ["m11", "m12", "m13"]);
        // The state of then, not of now.
        assert!(keys(&got["state"], "m.room.name").is_empty());
        assert_eq!(keys(&got["state"], "m.room.member"), [alice.id.as_str()]);
        for (dir, from, wanted) in [
            ("b", &got["start"], ["m7", "m6"]),
            ("f", &got["end"], ["m14", "m15"]),
        ] {
            let from = from.as_str().unwrap();
            let page = format!(
                "/rooms/{}/messages?dir={dir}&from={from}&limit=2",
                enc(&room)
            );
            assert_eq!(texts(&alice.get(&page).await.ok()["chunk"]), wanted);
        }
    }
    // Without limit: ten; with none: the event alone.
    let got = alice.get(&path(&room, &events[10], "")).await.ok();
    assert_eq!(texts(&got["events_before"]).len(), 5);
    assert_eq!(texts(&got["events_after"]).len(), 5);
    let got = alice.get(&path(&room, &events[10], "limit=0")).await.ok();
    assert_eq!(got["events_before"], json!([]));
    assert_eq!(got["events_after"], json!([]));
    assert_eq!(got["event"]["event_id"], events[10]);
    // At the ends of the history the tokens lead nowhere, and to what comes.
    let got = alice.get(&path(&room, &events[19], "limit=100")).await.ok();
    assert_eq!(got["events_after"][0]["type"], "m.room.name");
    assert_eq!(keys(&got["state"], "m.room.name"), [""]);
    let (start, end) = (got["start"].as_str().unwrap(), got["end"].as_str().unwrap());
    let back = format!("/rooms/{}/messages?dir=b&from={start}", enc(&room));
    assert_eq!(alice.get(&back).await.ok()["chunk"], json!([]));
    alice.say(&room, "new").await;
    let on = format!("/rooms/{}/messages?dir=f&from={end}", enc(&room));
    assert_eq!(texts(&alice.get(&on).await.ok()["chunk"]), ["new"]);
}

#[tokio::test]
async fn the_filter_is_for_what_is_around_and_members_load_lazily() {
    let cluster = shared().await;
    let alice = cluster.user("alice").await;
    let bob = cluster.user("bob").await;
    let room = alice.create_room(json!({"preset": "public_chat"})).await;
    bob.join(&room).await.ok();
    let first = alice.say(&room, "one").await;
    bob.say(&room, "two").await;
    let only_bob = enc(&json!({"senders": [bob.id]}).to_string());
    let query = format!("filter={only_bob}");
    let got = alice.get(&path(&room, &first, &query)).await.ok();
    assert_eq!(got["event"]["event_id"], first);
    assert_eq!(texts(&got["events_after"]), ["two"]);
    assert_eq!(got["events_before"][0]["type"], "m.room.member");
    assert_eq!(got["state"].as_array().unwrap().len(), 1, "{got}");
    let lazy = enc(r#"{"lazy_load_members":true}"#);
    let query = format!("limit=0&filter={lazy}");
    let got = alice.get(&path(&room, &first, &query)).await.ok();
    assert_eq!(keys(&got["state"], "m.room.member"), [alice.id.as_str()]);
    assert_eq!(keys(&got["state"], "m.room.create"), [""]);
    let whole = alice.get(&path(&room, &first, "limit=0")).await.ok();
    assert_eq!(keys(&whole["state"], "m.room.member").len(), 2);
    alice
        .get(&path(&room, &first, "filter=%5B"))
        .await
        .fails(400, "M_INVALID_PARAM");
    alice
        .get(&path(&room, &first, "limit=-1"))
        .await
        .fails(400, "M_INVALID_PARAM");
}

#[tokio::test]
async fn nobody_sees_more_than_the_history_visibility_shows() {
    let cluster = shared().await;
    let alice = cluster.user("alice").await;
    let bob = cluster.user("bob").await;
    let state = json!([{
        "type": "m.room.history_visibility", "state_key": "",
        "content": {"history_visibility": "joined"},
    }]);
    let room = alice
        .create_room(json!({"preset": "public_chat", "initial_state": state}))
        .await;
    let before = alice.say(&room, "before").await;
    bob.get(&path(&room, &before, ""))
        .await
        .fails(403, "M_FORBIDDEN");
    bob.join(&room).await.ok();
    let seen = bob.say(&room, "seen").await;
    bob.get(&path(&room, &before, ""))
        .await
        .fails(404, "M_NOT_FOUND");
    let got = bob.get(&path(&room, &seen, "limit=50")).await.ok();
    assert!(!texts(&got["events_before"]).contains(&"before".to_owned()));
    bob.post(&format!("/rooms/{}/leave", enc(&room)), json!({}))
        .await
        .ok();
    let name = format!("/rooms/{}/state/m.room.name", enc(&room));
    alice.put(&name, json!({"name": "secret"})).await.ok();
    alice.say(&room, "after").await;
    let got = bob.get(&path(&room, &seen, "limit=50")).await.ok();
    assert!(texts(&got["events_after"]).is_empty(), "{got}");
    assert!(!got.to_string().contains("secret"), "{got}");
    bob.get(&path(&room, "$unknown", ""))
        .await
        .fails(404, "M_NOT_FOUND");
    bob.get(&path("!unknown:localhost", &seen, ""))
        .await
        .fails(403, "M_FORBIDDEN");
}
