//! Client-server API, "Sending events", "Redactions", `/messages`.

use serde_json::{Value, json};

use crate::sandbox::shared;
use crate::user::{User, enc, texts};

fn message(text: &str) -> Value {
    json!({"msgtype": "m.text", "body": text})
}

#[tokio::test]
async fn a_transaction_is_of_a_device_a_room_and_a_type() {
    let cluster = shared().await;
    let alice = cluster.user("alice").await;
    let laptop = User::login(cluster.url(), &alice.id).await;
    let room = alice.create_room(json!({})).await;
    let path = |kind: &str| format!("/rooms/{}/send/{kind}/same", enc(&room));
    let first = alice
        .put(&path("m.room.message"), message("one"))
        .await
        .ok();
    for reader in cluster.readers() {
        let again = alice
            .at(&reader)
            .put(&path("m.room.message"), message("other"))
            .await
            .ok();
        assert_eq!(again, first);
    }
    let other_type = alice.put(&path("org.example"), json!({})).await.ok();
    let other_device = laptop
        .put(&path("m.room.message"), message("two"))
        .await
        .ok();
    assert_ne!(other_type, first);
    assert_ne!(other_device, first);
    // The transaction id is shown to the device that sent it, to no other.
    let event = format!(
        "/rooms/{}/event/{}",
        enc(&room),
        enc(first["event_id"].as_str().unwrap())
    );
    assert_eq!(
        alice.get(&event).await.ok()["unsigned"]["transaction_id"],
        "same"
    );
    assert!(laptop.get(&event).await.ok()["unsigned"]["transaction_id"].is_null());
}

#[tokio::test]
async fn history_is_paged_both_ways() {
    let cluster = shared().await;
    let alice = cluster.user("alice").await;
    let room = alice.create_room(json!({})).await;
    let mut said = Vec::new();
    for n in 0..25 {
        alice.say(&room, &format!("m{n}")).await;
        said.push(format!("m{n}"));
    }
    let path = format!("/rooms/{}/messages", enc(&room));
    for dir in ["b", "f"] {
        let mut found = Vec::new();
        let mut from = String::new();
        for page in 0.. {
            assert!(page < 30, "no end: {from}");
            let query = format!("{path}?dir={dir}&limit=7{from}");
            let got = alice
                .at(&cluster.readers()[page % 2])
                .get(&query)
                .await
                .ok();
            found.extend(texts(&got["chunk"]));
            let Some(end) = got["end"].as_str() else {
                break;
            };
            from = format!("&from={end}");
        }
        if dir == "b" {
            found.reverse();
        }
        assert_eq!(found, said, "{dir}");
    }
    let filter = enc(r#"{"types":["m.room.create"]}"#);
    let page = alice
        .get(&format!("{path}?dir=b&limit=5&filter={filter}"))
        .await
        .ok();
    assert_eq!(page["chunk"].as_array().unwrap().len(), 1);
    let lazy = enc(r#"{"lazy_load_members":true}"#);
    let page = alice
        .get(&format!("{path}?dir=b&limit=5&filter={lazy}"))
        .await
        .ok();
    assert_eq!(page["state"][0]["state_key"], alice.id, "{page}");
    alice
        .get(&format!("{path}?dir=b&from=nonsense"))
        .await
        .fails(400, "M_INVALID_PARAM");
    alice.get(&path).await.fails(400, "M_MISSING_PARAM");
}

#[tokio::test]
async fn messages_between_a_sync_and_a_token() {
    let cluster = shared().await;
    let alice = cluster.user("alice").await;
    let room = alice.create_room(json!({})).await;
    alice.say(&room, "old").await;
    let since = alice.sync(None, "").await["next_batch"]
        .as_str()
        .unwrap()
        .to_owned();
    for n in 0..15 {
        alice.say(&room, &format!("m{n}")).await;
    }
    let news = alice.sync(Some(&since), "").await;
    let timeline = &news["rooms"]["join"][&room]["timeline"];
    assert_eq!(timeline["limited"], true);
    assert_eq!(
        texts(&timeline["events"]),
        (5..15).map(|n| format!("m{n}")).collect::<Vec<_>>()
    );
    // What the timeline left out lies between its prev_batch and the token before.
    let path = format!(
        "/rooms/{}/messages?dir=b&limit=100&from={}&to={since}",
        enc(&room),
        timeline["prev_batch"].as_str().unwrap(),
    );
    let gap = alice.get(&path).await.ok();
    assert_eq!(texts(&gap["chunk"]), ["m4", "m3", "m2", "m1", "m0"]);
}

#[tokio::test]
async fn a_redaction_takes_the_content_everywhere() {
    let cluster = shared().await;
    let alice = cluster.user("alice").await;
    let bob = cluster.user("bob").await;
    for version in ["10", "12"] {
        let room = alice
            .create_room(json!({"preset": "public_chat", "room_version": version}))
            .await;
        bob.join(&room).await.ok();
        let event = alice.say(&room, "secret").await;
        let since = bob.sync(None, "").await["next_batch"].clone();
        let path =
            |event: &str, txn: &str| format!("/rooms/{}/redact/{}/{txn}", enc(&room), enc(event));
        bob.put(&path(&event, "1"), json!({}))
            .await
            .fails(403, "M_FORBIDDEN");
        let done = alice
            .put(&path(&event, "1"), json!({"reason": "oops"}))
            .await
            .ok();
        assert_eq!(
            alice
                .put(&path(&event, "1"), json!({"reason": "oops"}))
                .await
                .ok(),
            done
        );
        for reader in cluster.readers() {
            let bob = bob.at(&reader);
            let read = bob
                .get(&format!("/rooms/{}/event/{}", enc(&room), enc(&event)))
                .await
                .ok();
            assert_eq!(read["content"], json!({}), "{read}");
            let because = &read["unsigned"]["redacted_because"];
            assert_eq!(because["event_id"], done["event_id"], "{read}");
            assert_eq!(because["content"]["reason"], "oops");
            let page = bob
                .get(&format!("/rooms/{}/messages?dir=b&limit=2", enc(&room)))
                .await
                .ok();
            assert!(!page.to_string().contains("secret"), "{page}");
            assert_eq!(page["chunk"][0]["redacts"], event, "{page}");
            assert_eq!(page["chunk"][0]["content"]["redacts"], event, "{page}");
            let news = bob.sync(since.as_str(), "").await;
            assert_eq!(
                news["rooms"]["join"][&room]["timeline"]["events"][0]["redacts"],
                event
            );
            assert!(!bob.sync(None, "").await.to_string().contains("secret"));
        }
        alice
            .put(&path("$unknown", "2"), json!({}))
            .await
            .fails(404, "M_NOT_FOUND");
        // The room versions' other way: as an event of that type, with its target in the content.
        let event = alice.say(&room, "secret").await;
        let send = format!("/rooms/{}/send/m.room.redaction/3", enc(&room));
        alice.put(&send, json!({"redacts": event})).await.ok();
        let read = bob
            .get(&format!("/rooms/{}/event/{}", enc(&room), enc(&event)))
            .await
            .ok();
        assert_eq!(read["content"], json!({}));
    }
}

#[tokio::test]
async fn history_visibility_decides_what_a_newcomer_reads() {
    let cluster = shared().await;
    let alice = cluster.user("alice").await;
    for (visibility, before_invite, invited) in [
        ("shared", true, true),
        ("invited", false, true),
        ("joined", false, false),
        ("world_readable", true, true),
    ] {
        let bob = cluster.user("bob").await;
        let state = json!([{
            "type": "m.room.history_visibility", "state_key": "",
            "content": {"history_visibility": visibility},
        }]);
        let room = alice.create_room(json!({"initial_state": state})).await;
        let first = alice.say(&room, "before the invitation").await;
        let event = format!("/rooms/{}/event/{}", enc(&room), enc(&first));
        assert_eq!(
            bob.get(&event).await.status == 200,
            visibility == "world_readable"
        );
        alice
            .post(
                &format!("/rooms/{}/invite", enc(&room)),
                json!({"user_id": bob.id}),
            )
            .await
            .ok();
        alice.say(&room, "invited").await;
        bob.join(&room).await.ok();
        alice.say(&room, "joined").await;
        let mut wanted = vec!["joined"];
        if invited {
            wanted.push("invited");
        }
        if before_invite {
            wanted.push("before the invitation");
        }
        let page = bob
            .get(&format!("/rooms/{}/messages?dir=b&limit=50", enc(&room)))
            .await
            .ok();
        assert_eq!(texts(&page["chunk"]), wanted, "{visibility}");
        let mut synced =
            texts(&bob.sync(None, "").await["rooms"]["join"][&room]["timeline"]["events"]);
        synced.reverse();
        assert_eq!(synced, wanted, "{visibility}");
        assert_eq!(
            bob.get(&event).await.status == 200,
            before_invite,
            "{visibility}"
        );
    }
}

#[tokio::test]
async fn what_cannot_be_an_event_is_refused_and_nothing_is_written() {
    let cluster = shared().await;
    let alice = cluster.user("alice").await;
    let room = alice.create_room(json!({})).await;
    let before = alice.sync(None, "").await["next_batch"].clone();
    let path = format!("/rooms/{}/send/m.room.message/t", enc(&room));
    let deep = (0..120).fold(json!(0), |inner, _| json!([inner]));
    let big = json!({"body": "x".repeat(70_000)});
    for (body, status, errcode) in [
        (json!({"n": 1.5}), 400, "M_BAD_JSON"),
        (json!({"n": 9_007_199_254_740_993_i64}), 400, "M_BAD_JSON"),
        (json!({"deep": deep}), 400, "M_BAD_JSON"),
        (json!([1]), 400, "M_BAD_JSON"),
        (big, 413, "M_TOO_LARGE"),
    ] {
        alice.put(&path, body).await.fails(status, errcode);
    }
    let long = format!("/rooms/{}/send/{}/t", enc(&room), "t".repeat(256));
    alice
        .put(&long, json!({}))
        .await
        .fails(400, "M_INVALID_PARAM");
    let news = alice.sync(before.as_str(), "").await;
    assert!(news["rooms"].is_null(), "{news}");
}

#[tokio::test]
async fn who_may_not_write_into_a_room() {
    let cluster = shared().await;
    let (alice, bob) = (cluster.user("alice").await, cluster.user("bob").await);
    let room = alice.create_room(json!({"preset": "public_chat"})).await;
    let event = alice.say(&room, "hers").await;
    let topic = |room: &str| format!("/rooms/{}/state/m.room.topic", enc(room));
    let redact = |event: &str| format!("/rooms/{}/redact/{}/r", enc(&room), enc(event));
    for place in [&room, "!unknown:localhost"] {
        bob.send(place, "1", "?").await.fails(403, "M_FORBIDDEN");
        bob.put(&topic(place), json!({"topic": "?"}))
            .await
            .fails(403, "M_FORBIDDEN");
    }
    bob.put(&redact(&event), json!({}))
        .await
        .fails(403, "M_FORBIDDEN");
    bob.join(&room).await.ok();
    // A member may say something, but neither name the room nor take back what another said.
    bob.say(&room, "his").await;
    bob.put(&topic(&room), json!({"topic": "?"}))
        .await
        .fails(403, "M_FORBIDDEN");
    bob.put(&redact(&event), json!({}))
        .await
        .fails(403, "M_FORBIDDEN");
    bob.put(&redact("$unknown"), json!({}))
        .await
        .fails(404, "M_NOT_FOUND");
    let path = format!("/rooms/{}/event/{}", enc(&room), enc(&event));
    let untouched = alice.get(&path).await.ok();
    assert_eq!(untouched["content"]["body"], "hers");
}
