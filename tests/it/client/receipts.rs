//! Client-server API, "Receipts" and "Fully read markers".

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::cluster::owners::{process, settled};
use crate::sandbox::{Sandbox, connect, shared};
use crate::user::{Reply, User, enc};

async fn send(user: &User, room: &str, kind: &str, event: &str, body: Value) -> Reply {
    let path = format!("/rooms/{}/receipt/{kind}/{}", enc(room), enc(event));
    user.post(&path, body).await
}

async fn read(user: &User, room: &str, event: &str) {
    assert_eq!(
        send(user, room, "m.read", event, json!({})).await.ok(),
        json!({})
    );
}

/// What a response says of receipts in a room: event, kind, user, thread; sorted.
fn receipts(sync: &Value, room: &str) -> Vec<(String, String, String, String)> {
    let events = &sync["rooms"]["join"][room]["ephemeral"]["events"];
    let mut found = Vec::new();
    for event in events.as_array().into_iter().flatten() {
        assert_eq!(event["type"], "m.receipt", "{event}");
        assert!(event.get("room_id").is_none(), "{event}");
        for (id, kinds) in event["content"].as_object().unwrap() {
            for (kind, users) in kinds.as_object().unwrap() {
                for (user, said) in users.as_object().unwrap() {
                    assert!(said["ts"].as_i64().unwrap() > 1_600_000_000_000, "{said}");
                    let thread = said["thread_id"].as_str().unwrap_or_default();
                    found.push((id.clone(), kind.clone(), user.clone(), thread.to_owned()));
                }
            }
        }
    }
    found.sort();
    found
}

fn said(list: &[(&str, &str, &User, &str)]) -> Vec<(String, String, String, String)> {
    let own = |(event, kind, user, thread): &(&str, &str, &User, &str)| {
        let text = |text: &str| text.to_owned();
        (text(event), text(kind), text(&user.id), text(thread))
    };
    let mut list: Vec<_> = list.iter().map(own).collect();
    list.sort();
    list
}

fn next(sync: &Value) -> String {
    sync["next_batch"].as_str().unwrap().to_owned()
}

async fn pair(public: bool) -> (User, User, String) {
    let cluster = shared().await;
    let (alice, bob) = (cluster.user("alice").await, cluster.user("bob").await);
    let preset = if public {
        "public_chat"
    } else {
        "private_chat"
    };
    let room = alice
        .create_room(json!({"preset": preset, "invite": [bob.id]}))
        .await;
    bob.join(&room).await.ok();
    (alice, bob, room)
}

#[tokio::test]
async fn receipts_of_all_kinds_reach_whom_they_are_for_at_every_reader() {
    let cluster = shared().await;
    let (alice, bob, room) = pair(true).await;
    let root = alice.say(&room, "root").await;
    let reply = alice.relate(&room, "m.thread", &root, "reply").await;
    let reaction =
        json!({"m.relates_to": {"rel_type": "m.annotation", "event_id": reply, "key": "+"}});
    let reaction = alice.send_content(&room, "m.reaction", reaction).await;
    let last = alice.say(&room, "last").await;
    let mut tokens = Vec::new();
    for reader in cluster.readers() {
        for user in [&alice, &bob] {
            tokens.push((
                user.at(&reader),
                next(&user.at(&reader).sync(None, "").await),
            ));
        }
    }
    read(&bob, &room, &last).await;
    send(
        &bob,
        &room,
        "m.read.private",
        &last,
        json!({"thread_id": "main"}),
    )
    .await
    .ok();
    send(&bob, &room, "m.read", &last, json!({"thread_id": "main"}))
        .await
        .ok();
    send(&bob, &room, "m.read", &reply, json!({"thread_id": root}))
        .await
        .ok();
    // Superseded at once; two steps from the thread's root.
    send(&bob, &room, "m.read", &reaction, json!({"thread_id": root}))
        .await
        .ok();
    // A root is in the main timeline, and may be acknowledged in its thread.
    send(&alice, &room, "m.read", &root, json!({"thread_id": "main"}))
        .await
        .ok();
    send(&alice, &room, "m.read", &root, json!({"thread_id": root}))
        .await
        .ok();
    let public = [
        (&*last, "m.read", &bob, ""),
        (&*last, "m.read", &bob, "main"),
        (&*reaction, "m.read", &bob, &*root),
        (&*root, "m.read", &alice, "main"),
        (&*root, "m.read", &alice, &*root),
    ];
    let mut with_private = public.to_vec();
    with_private.push((&last, "m.read.private", &bob, "main"));
    for (user, token) in &tokens {
        let wanted = if user.id == bob.id {
            said(&with_private)
        } else {
            said(&public)
        };
        let sync = user.sync(Some(token), "").await;
        assert_eq!(receipts(&sync, &room), wanted, "{sync}");
        // Once only; and again from the same token.
        assert_eq!(
            receipts(&user.sync(Some(&next(&sync)), "").await, &room),
            vec![]
        );
        assert_eq!(receipts(&user.sync(Some(token), "").await, &room), wanted);
        assert_eq!(receipts(&user.sync(None, "").await, &room), wanted);
    }
    let device = User::login(cluster.url(), &bob.id).await;
    let sync = device.sync(None, "").await;
    assert_eq!(receipts(&sync, &room), said(&with_private));
    let carol = cluster.user("carol").await;
    let token = next(&carol.sync(None, "").await);
    carol.join(&room).await.ok();
    let sync = carol.sync(Some(&token), "").await;
    assert_eq!(receipts(&sync, &room), said(&public), "{sync}");
}

#[tokio::test]
async fn a_receipt_moves_forward_only() {
    let (alice, bob, room) = pair(false).await;
    let (first, second) = (alice.say(&room, "1").await, alice.say(&room, "2").await);
    read(&bob, &room, &second).await;
    let token = next(&alice.sync(None, "").await);
    read(&bob, &room, &first).await;
    read(&bob, &room, &second).await;
    let sync = alice.sync(Some(&token), "").await;
    assert_eq!(receipts(&sync, &room), vec![]);
    // Another kind, and another thread, have places of their own.
    send(&bob, &room, "m.read", &first, json!({"thread_id": "main"}))
        .await
        .ok();
    send(&bob, &room, "m.read.private", &first, json!({}))
        .await
        .ok();
    let sync = alice.sync(Some(&token), "").await;
    assert_eq!(
        receipts(&sync, &room),
        said(&[(&first, "m.read", &bob, "main")])
    );
    let third = alice.say(&room, "3").await;
    read(&bob, &room, &third).await;
    let sync = alice.sync(Some(&next(&sync)), "").await;
    assert_eq!(
        receipts(&sync, &room),
        said(&[(&third, "m.read", &bob, "")])
    );
}

#[tokio::test]
async fn a_receipt_wakes_the_room_and_a_private_one_the_own_devices() {
    let cluster = shared().await;
    let (alice, bob, room) = pair(false).await;
    let event = alice.say(&room, "hello").await;
    let device = User::login(cluster.url(), &bob.id).await;
    let readers = cluster.readers();
    let parked = |user: &User, token: String| {
        let user = user.at(&readers[0]);
        async move {
            let since = format!("/sync?timeout=20000&since={token}");
            user.get(&since).await.ok()
        }
    };
    let writer = bob.at(&readers[1]);
    for (kind, waiting) in [("m.read", &alice), ("m.read.private", &device)] {
        let token = next(&waiting.at(&readers[0]).sync(None, "").await);
        let started = Instant::now();
        let later = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            send(&writer, &room, kind, &event, json!({})).await.ok();
        };
        let (sync, ()) = tokio::join!(parked(waiting, token), later);
        assert_eq!(receipts(&sync, &room), said(&[(&event, kind, &bob, "")]));
        assert!(started.elapsed() < Duration::from_secs(10));
    }
}

#[tokio::test]
async fn filters_of_ephemeral_events_are_kept_to() {
    let (alice, bob, room) = pair(false).await;
    let event = alice.say(&room, "hello").await;
    let token = next(&alice.sync(None, "").await);
    read(&bob, &room, &event).await;
    send(&bob, &room, "m.read", &event, json!({"thread_id": "main"}))
        .await
        .ok();
    let told = async |since: Option<&str>, filter: Value| {
        let filter = json!({"room": {"ephemeral": filter}}).to_string();
        let sync = alice
            .sync(since, &format!("&filter={}", enc(&filter)))
            .await;
        receipts(&sync, &room).len()
    };
    for since in [None, Some(&*token)] {
        assert_eq!(told(since, json!({})).await, 2);
        assert_eq!(told(since, json!({"limit": 1})).await, 1);
        assert_eq!(told(since, json!({"types": ["m.receipt"]})).await, 2);
        assert_eq!(told(since, json!({"types": ["m.typing"]})).await, 0);
        assert_eq!(told(since, json!({"not_types": ["m.rec*"]})).await, 0);
        assert_eq!(told(since, json!({"senders": [alice.id]})).await, 0);
        assert_eq!(told(since, json!({"not_senders": [bob.id]})).await, 0);
        assert_eq!(told(since, json!({"rooms": [room]})).await, 2);
        assert_eq!(told(since, json!({"not_rooms": [room]})).await, 0);
        assert_eq!(told(since, json!({"contains_url": true})).await, 0);
    }
}

#[tokio::test]
async fn read_markers_move_all_three_at_once() {
    let cluster = shared().await;
    let (alice, bob, room) = pair(false).await;
    let mut events = Vec::new();
    for text in ["1", "2", "3"] {
        events.push(alice.say(&room, text).await);
    }
    let [one, two, three] = &events[..] else {
        panic!()
    };
    let (mine, others) = (bob.sync(None, "").await, alice.sync(None, "").await);
    let path = format!("/rooms/{}/read_markers", enc(&room));
    let body = json!({"m.fully_read": one, "m.read": two, "m.read.private": three});
    assert_eq!(bob.post(&path, body).await.ok(), json!({}));
    let marker = json!({"type": "m.fully_read", "content": {"event_id": one}});
    for reader in cluster.readers() {
        let sync = bob.at(&reader).sync(Some(&next(&mine)), "").await;
        let public = (&**two, "m.read", &bob, "");
        let private = (&**three, "m.read.private", &bob, "");
        assert_eq!(receipts(&sync, &room), said(&[public, private]));
        let data = &sync["rooms"]["join"][&room]["account_data"]["events"];
        assert_eq!(data, &json!([marker]));
        let sync = alice.at(&reader).sync(Some(&next(&others)), "").await;
        assert_eq!(receipts(&sync, &room), said(&[public]));
    }
    // The other way to the marker. It goes where it is set.
    send(&bob, &room, "m.fully_read", three, json!({}))
        .await
        .ok();
    let data = format!(
        "/user/{}/rooms/{}/account_data/m.fully_read",
        enc(&bob.id),
        enc(&room)
    );
    assert_eq!(bob.get(&data).await.ok(), json!({"event_id": three}));
    bob.post(&path, json!({"m.fully_read": two})).await.ok();
    assert_eq!(bob.get(&data).await.ok(), json!({"event_id": two}));
    bob.post(&path, json!({})).await.ok();
    bob.put(&data, json!({"event_id": one}))
        .await
        .fails(405, "M_BAD_JSON");
}

#[tokio::test]
async fn receipts_refuse() {
    let cluster = shared().await;
    let (alice, bob, room) = pair(false).await;
    let root = alice.say(&room, "root").await;
    let reply = alice.relate(&room, "m.thread", &root, "reply").await;
    let other = alice.say(&room, "other").await;
    let before = next(&bob.sync(None, "").await);
    let refused = async |kind: &str, event: &str, body: Value| {
        let reply = send(&bob, &room, kind, event, body.clone()).await;
        reply.fails(400, "M_INVALID_PARAM");
    };
    refused("m.write", &root, json!({})).await;
    refused("m.read", "nonsense", json!({})).await;
    for thread in [json!(""), json!(5), json!(null), json!({"a": 1})] {
        refused("m.read", &root, json!({"thread_id": thread})).await;
    }
    refused("m.fully_read", &root, json!({"thread_id": "main"})).await;
    refused("m.read", &reply, json!({"thread_id": "main"})).await;
    refused("m.read", &reply, json!({"thread_id": reply})).await;
    refused("m.read", &other, json!({"thread_id": root})).await;
    refused("m.read", &other, json!({"thread_id": "nonsense\u{0}"})).await;
    send(&bob, &room, "m.read", &root, json!([]))
        .await
        .fails(400, "M_BAD_JSON");
    // Not there, not to be seen, of another room.
    let elsewhere = alice.create_room(json!({})).await;
    let hidden = alice.say(&elsewhere, "hidden").await;
    let markers = format!("/rooms/{}/read_markers", enc(&room));
    for event in ["$unknown", &hidden, "$with\u{0}nul"] {
        if !event.contains('\0') {
            for kind in ["m.read", "m.read.private", "m.fully_read"] {
                send(&bob, &room, kind, event, json!({}))
                    .await
                    .fails(404, "M_NOT_FOUND");
            }
        }
        for kind in ["m.read", "m.read.private", "m.fully_read"] {
            // One bad event, and nothing of the request is done.
            let mut body = json!({"m.fully_read": root, "m.read": root, "m.read.private": root});
            body[kind] = json!(event);
            let refused = bob.post(&markers, body).await;
            refused.fails(404, "M_NOT_FOUND");
        }
    }
    bob.post(&markers, json!({"m.read": 5}))
        .await
        .fails(400, "M_BAD_JSON");
    // Not in the room (any more), and no room.
    let carol = cluster.user("carol").await;
    for place in [&room, "!unknown:localhost"] {
        send(&carol, place, "m.read", &root, json!({}))
            .await
            .fails(403, "M_FORBIDDEN");
        let path = format!("/rooms/{}/read_markers", enc(place));
        carol.post(&path, json!({})).await.fails(403, "M_FORBIDDEN");
    }
    let sync = bob.sync(Some(&before), "").await;
    assert!(sync["rooms"]["join"][&room].is_null(), "{sync}");
    bob.post(&format!("/rooms/{}/leave", enc(&room)), json!({}))
        .await
        .ok();
    send(&bob, &room, "m.read", &root, json!({}))
        .await
        .fails(403, "M_FORBIDDEN");
    assert_eq!(receipts(&alice.sync(None, "").await, &room), vec![]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn receipts_outlive_all_processes_and_are_not_doubled() {
    let mut sandbox = Sandbox::start("receipts").await;
    let db = connect(&sandbox.cluster.facts().postgres.primary).await;
    let (alice, bob) = (sandbox.user("alice").await, sandbox.user("bob").await);
    let room = alice.create_room(json!({"preset": "public_chat"})).await;
    bob.join(&room).await.ok();
    let (first, second) = (alice.say(&room, "1").await, alice.say(&room, "2").await);
    let url = |sandbox: &Sandbox, name: &str| process(&sandbox.cluster, name).http_url.unwrap();
    let both = |sandbox: &Sandbox, user: &User| {
        ["client-reader-1", "client-reader-2"].map(|name| user.at(&url(sandbox, name)))
    };
    let token = next(&alice.sync(None, "").await);
    let readers = both(&sandbox, &bob);
    join_all(readers.iter().map(|reader| read(reader, &room, &second))).await;
    let rows = "SELECT pos FROM receipts";
    let positions = async || -> Vec<i64> {
        let rows = db.query(rows, &[]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    };
    let before = positions().await;
    assert_eq!(before.len(), 1);
    for name in [
        "event-persister-1",
        "event-persister-2",
        "client-reader-1",
        "client-reader-2",
    ] {
        sandbox.cluster.kill(name).await.unwrap();
        sandbox.cluster.restart(name).await.unwrap();
    }
    settled(&db, &sandbox.cluster).await;
    for reader in both(&sandbox, &alice) {
        // What the memory of the new process does not reach comes from PostgreSQL.
        let wanted = said(&[(&second, "m.read", &bob, "")]);
        assert_eq!(
            receipts(&reader.sync(Some(&token), "").await, &room),
            wanted
        );
        assert_eq!(receipts(&reader.sync(None, "").await, &room), wanted);
    }
    for reader in both(&sandbox, &bob) {
        read(&reader, &room, &first).await;
        read(&reader, &room, &second).await;
    }
    assert_eq!(positions().await, before);
    sandbox.end().await;
}
