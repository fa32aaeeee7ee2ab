//! Client-server API, "Querying threads in a room".

use serde_json::json;

use crate::sandbox::shared;
use crate::user::{enc, texts};

#[tokio::test]
async fn threads_come_in_the_order_of_their_newest_replies() {
    let cluster = shared().await;
    let alice = cluster.user("alice").await;
    let bob = cluster.user("bob").await;
    let room = alice.create_room(json!({"preset": "public_chat"})).await;
    bob.join(&room).await.ok();
    let path = |query: &str| format!("/rooms/{}/threads?{query}", enc(&room));
    let empty = alice.get_v1(&path("")).await.ok();
    assert_eq!(empty, json!({"chunk": []}));
    let mut roots = Vec::new();
    for n in 0..5 {
        let by = if n == 2 { &bob } else { &alice };
        roots.push(by.say(&room, &format!("t{n}")).await);
    }
    alice.say(&room, "no thread").await;
    for root in &roots {
        alice.relate(&room, "m.thread", root, "reply").await;
    }
    // 1 comes to the top; bob is in 0 by a reply, in 2 by its root.
    alice.relate(&room, "m.thread", &roots[1], "again").await;
    let bobs = bob.relate(&room, "m.thread", &roots[0], "me too").await;
    // Neither a reply nor a reference makes a thread.
    let child = alice.relate(&room, "m.thread", &roots[0], "last").await;
    let name = format!("/rooms/{}/state/m.room.name", enc(&room));
    let name = alice.put(&name, json!({"name": "x"})).await.ok()["event_id"].clone();
    alice
        .relate(&room, "m.thread", name.as_str().unwrap(), "of state")
        .await;
    alice.relate(&room, "m.reference", &child, "see").await;
    for reader in cluster.readers() {
        let (alice, bob) = (alice.at(&reader), bob.at(&reader));
        let all = alice.get_v1(&path("")).await.ok();
        assert_eq!(texts(&all["chunk"]), ["t0", "t1", "t4", "t3", "t2"]);
        assert!(all["next_batch"].is_null());
        let thread = &all["chunk"][0]["unsigned"]["m.relations"]["m.thread"];
        assert_eq!(thread["latest_event"]["event_id"], child, "{thread}");
        assert_eq!(thread["count"], 3);
        let mine = bob.get_v1(&path("include=participated")).await.ok();
        assert_eq!(texts(&mine["chunk"]), ["t0", "t2"]);
    }
    // Page by page, on one instance and the other; a reply in between does not hide a thread.
    let (mut found, mut from) = (Vec::new(), String::new());
    for page in 0.. {
        assert!(page < 10, "no end");
        let alice = alice.at(&cluster.readers()[page % 2]);
        let got = alice.get_v1(&path(&format!("limit=2{from}"))).await.ok();
        found.extend(texts(&got["chunk"]));
        alice.relate(&room, "m.thread", &roots[2], "late").await;
        let Some(next) = got["next_batch"].as_str() else {
            break;
        };
        from = format!("&from={next}");
    }
    assert_eq!(found, ["t0", "t1", "t4", "t3", "t2"]);
    // A redacted reply is none.
    let redact = format!("/rooms/{}/redact/{}/1", enc(&room), enc(&bobs));
    bob.put(&redact, json!({})).await.ok();
    let mine = bob.get_v1(&path("include=participated")).await.ok();
    assert_eq!(texts(&mine["chunk"]), ["t2"]);
    // Of whom one ignores: no replies, and roots without what they say.
    let data = format!("/user/{}/account_data/m.ignored_user_list", enc(&bob.id));
    bob.put(&data, json!({"ignored_users": {&alice.id: {}}}))
        .await
        .ok();
    bob.relate(&room, "m.thread", &roots[3], "hello").await;
    let seen = bob.get_v1(&path("")).await.ok();
    let chunk = seen["chunk"].as_array().unwrap();
    assert_eq!(chunk.len(), 1, "{seen}");
    assert_eq!(chunk[0]["event_id"], roots[3]);
    assert_eq!(chunk[0]["content"], json!({}));
}

#[tokio::test]
async fn what_is_refused_and_what_is_hidden() {
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
    let path = |query: &str| format!("/rooms/{}/threads?{query}", enc(&room));
    bob.get_v1(&path("")).await.fails(403, "M_FORBIDDEN");
    for bad in ["limit=0", "limit=x", "include=none", "from=x", "from=p1_1"] {
        alice.get_v1(&path(bad)).await.fails(400, "M_INVALID_PARAM");
    }
    let elsewhere = format!("/rooms/{}/threads", enc("!unknown:x"));
    alice.get_v1(&elsewhere).await.fails(403, "M_FORBIDDEN");
    let hidden = alice.say(&room, "hidden").await;
    bob.join(&room).await.ok();
    let root = alice.say(&room, "root").await;
    alice.relate(&room, "m.thread", &root, "one").await;
    alice.relate(&room, "m.thread", &hidden, "of hidden").await;
    bob.post(&format!("/rooms/{}/leave", enc(&room)), json!({}))
        .await
        .ok();
    alice.relate(&room, "m.thread", &root, "after").await;
    let seen = bob.get_v1(&path("")).await.ok();
    assert_eq!(texts(&seen["chunk"]), ["root"]);
    let thread = &seen["chunk"][0]["unsigned"]["m.relations"]["m.thread"];
    assert_eq!(thread["count"], 1, "{thread}");
}

#[tokio::test]
async fn a_thread_starts_only_from_an_event_that_relates_to_nothing() {
    let cluster = shared().await;
    let alice = cluster.user("alice").await;
    let room = alice.create_room(json!({})).await;
    let other = alice.create_room(json!({})).await;
    let root = alice.say(&room, "root").await;
    let reply = alice.relate(&room, "m.thread", &root, "reply").await;
    let edit = alice.relate(&room, "m.replace", &root, "edit").await;
    let refers = alice.relate(&room, "m.reference", &root, "see").await;
    let start = async |room: &str, parent: &str| {
        let txn = format!("{:016x}", rand::random::<u64>());
        let path = format!("/rooms/{}/send/m.room.message/{txn}", enc(room));
        let relates = json!({"rel_type": "m.thread", "event_id": parent});
        let body = json!({"msgtype": "m.text", "body": "x", "m.relates_to": relates});
        alice.put(&path, body).await
    };
    for parent in [&reply, &edit, &refers] {
        start(&room, parent).await.fails(400, "M_UNKNOWN");
    }
    for _ in 0..2 {
        start(&room, &root).await.ok();
    }
    // A rich reply has no `rel_type`; what is not in this room is ignored by readers.
    let rich = json!({"msgtype": "m.text", "body": "x",
        "m.relates_to": {"m.in_reply_to": {"event_id": root}}});
    let rich = alice.send_content(&room, "m.room.message", rich).await;
    start(&room, &rich).await.ok();
    start(&room, "$unknown").await.ok();
    start(&other, &reply).await.ok();
    // Redacted, an event relates to nothing.
    let txn = format!("{:016x}", rand::random::<u64>());
    let path = format!("/rooms/{}/redact/{}/{txn}", enc(&room), enc(&refers));
    alice.put(&path, json!({})).await.ok();
    start(&room, &refers).await.ok();
}
