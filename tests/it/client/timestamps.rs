//! `GET /rooms/{roomId}/timestamp_to_event`.

use std::time::Duration;

use serde_json::json;

use crate::sandbox::shared;
use crate::user::enc;

#[tokio::test]
async fn the_nearest_event_in_a_direction_that_one_may_see() {
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
    let path = |query: String| format!("/rooms/{}/timestamp_to_event?{query}", enc(&room));
    let mut events = Vec::new();
    for n in 0..3 {
        tokio::time::sleep(Duration::from_millis(5)).await;
        let id = alice.say(&room, &format!("m{n}")).await;
        let event = format!("/rooms/{}/event/{}", enc(&room), enc(&id));
        let ts = alice.get(&event).await.ok()["origin_server_ts"].clone();
        events.push((id, ts.as_i64().unwrap()));
    }
    let (second, ts) = &events[1];
    for reader in cluster.readers() {
        let alice = alice.at(&reader);
        for dir in ["f", "b"] {
            let found = alice.get_v1(&path(format!("dir={dir}&ts={ts}"))).await.ok();
            assert_eq!(found, json!({"event_id": second, "origin_server_ts": ts}));
        }
        let found = alice
            .get_v1(&path(format!("dir=f&ts={}", ts + 1)))
            .await
            .ok();
        assert_eq!(found["event_id"], events[2].0);
        let found = alice
            .get_v1(&path(format!("dir=b&ts={}", ts - 1)))
            .await
            .ok();
        assert_eq!(found["event_id"], events[0].0);
        let far = events[2].1 + 1_000_000;
        let none = alice.get_v1(&path(format!("dir=f&ts={far}"))).await;
        none.fails(404, "M_NOT_FOUND");
        let none = alice.get_v1(&path("dir=b&ts=1".to_owned())).await;
        none.fails(404, "M_NOT_FOUND");
    }
    let closed = bob.get_v1(&path(format!("dir=f&ts={ts}"))).await;
    closed.fails(403, "M_FORBIDDEN");
    bob.join(&room).await.ok();
    // What bob may not see is passed over: the messages between the room's making and his coming.
    for (query, wanted) in [
        (format!("dir=f&ts={}", events[0].1), "m.room.member"),
        (format!("dir=b&ts={ts}"), ""),
    ] {
        let found = bob.get_v1(&path(query)).await.ok();
        let id = found["event_id"].as_str().unwrap();
        assert!(events.iter().all(|(message, _)| message != id), "{found}");
        let event = format!("/rooms/{}/event/{}", enc(&room), enc(id));
        let event = bob.get(&event).await.ok();
        if !wanted.is_empty() {
            assert_eq!(event["type"], wanted);
            assert_eq!(event["state_key"], bob.id);
        }
    }
    for (bad, code) in [
        ("dir=f", "M_MISSING_PARAM"),
        ("ts=1", "M_MISSING_PARAM"),
        ("dir=x&ts=1", "M_INVALID_PARAM"),
        ("dir=f&ts=-1", "M_INVALID_PARAM"),
    ] {
        bob.get_v1(&path(bad.to_owned())).await.fails(400, code);
    }
}
