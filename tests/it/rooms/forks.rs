//! Forks: two servers that speak at the same time, and what the room's state is afterwards
//! (room versions, "State resolution").

use ganglion_event_rules::RoomVersion;
use serde_json::{Value, json};

use crate::remote::{Event, Remote, now};
use crate::sandbox::{Shared, shared};
use crate::user::{User, enc};

/// Before v2.1 and with it: both algorithms, all three forms of a create event.
const VERSIONS: [&str; 4] = ["3", "10", "11", "12"];

/// A public room of Alice's in which a user of another server has the power to change state.
async fn room<'a>(cluster: &'a Shared, alice: &'a User, version: &str) -> Remote<'a> {
    let room = alice
        .create_room(json!({"preset": "public_chat", "room_version": version, "topic": "start"}))
        .await;
    let version = RoomVersion::parse(version).unwrap();
    let remote = Remote::new(cluster, alice, &room, version, "rita");
    remote.join().await;
    let levels = state(alice, &room, "m.room.power_levels").await;
    let mut levels = levels.unwrap();
    levels["users"][&remote.id] = json!(50);
    set(alice, &room, "m.room.power_levels", "", levels).await;
    remote
}

async fn set(user: &User, room: &str, kind: &str, key: &str, content: Value) -> String {
    let path = format!("/rooms/{}/state/{kind}/{}", enc(room), enc(key));
    let reply = user.put(&path, content).await.ok();
    reply["event_id"].as_str().unwrap().to_owned()
}

async fn state(user: &User, room: &str, kind: &str) -> Option<Value> {
    let reply = user
        .get(&format!("/rooms/{}/state/{kind}", enc(room)))
        .await;
    (reply.status == 200).then_some(reply.body)
}

async fn topic(user: &User, room: &str) -> String {
    let content = state(user, room, "m.room.topic").await.unwrap();
    content["topic"].as_str().unwrap().to_owned()
}

fn topic_event<'e>(text: &str, prev: &'e [String], ts: i64) -> Event<'e> {
    Event {
        kind: "m.room.topic",
        state_key: Some(""),
        content: json!({"topic": text}),
        prev,
        ts,
    }
}

#[tokio::test]
async fn the_later_of_two_equal_changes_wins_whichever_came_first() {
    let cluster = shared().await;
    let alice = cluster.user("alice").await;
    for version in VERSIONS {
        for (ts, winner) in [(now() + 60_000, "theirs"), (1_000, "ours")] {
            let remote = room(cluster, &alice, version).await;
            let fork = remote.extremities().await;
            set(
                &alice,
                &remote.room,
                "m.room.topic",
                "",
                json!({"topic": "ours"}),
            )
            .await;
            let since = alice.sync(None, "").await["next_batch"].clone();
            let theirs = remote.send(topic_event("theirs", &fork, ts)).await;

            assert_eq!(
                topic(&alice, &remote.room).await,
                winner,
                "room version {version}"
            );
            assert_eq!(
                remote.extremities().await.len(),
                2,
                "room version {version}"
            );
            // The event itself is part of the room's history, whether it won or not.
            let path = format!("/rooms/{}/event/{}", enc(&remote.room), enc(&theirs));
            assert_eq!(alice.get(&path).await.ok()["content"]["topic"], "theirs");
            for reader in cluster.readers() {
                let news = alice
                    .at(&reader)
                    .sync(since.as_str(), "&use_state_after=true")
                    .await;
                let room = &news["rooms"]["join"][&remote.room];
                let events = room["timeline"]["events"].as_array().unwrap();
                assert!(
                    events.iter().any(|event| event["event_id"] == *theirs),
                    "{room}"
                );
            }
            // What is sent next hangs on both ends and brings them together.
            alice.say(&remote.room, "after").await;
            assert_eq!(remote.extremities().await.len(), 1);
            assert_eq!(topic(&alice, &remote.room).await, winner);
        }
    }
}

#[tokio::test]
async fn a_ban_on_one_side_undoes_what_the_banned_did_on_the_other() {
    let cluster = shared().await;
    let alice = cluster.user("alice").await;
    for version in VERSIONS {
        let remote = room(cluster, &alice, version).await;
        let fork = remote.extremities().await;
        let state_at_fork = remote.state().await;
        let body = json!({"user_id": remote.id, "reason": "spam"});
        alice
            .post(&format!("/rooms/{}/ban", enc(&remote.room)), body)
            .await
            .ok();
        let since = alice.sync(None, "").await["next_batch"].clone();

        let event = topic_event("from the banned", &fork, now() + 60_000);
        let (id, pdu) = remote.build(&state_at_fork, event);
        remote.submit(vec![pdu]).await.unwrap();
        assert_eq!(
            topic(&alice, &remote.room).await,
            "start",
            "room version {version}"
        );
        // Allowed where it was made, not by the room as it is now: nobody sees it.
        let path = format!("/rooms/{}/event/{}", enc(&remote.room), enc(&id));
        alice.get(&path).await.fails(404, "M_NOT_FOUND");
        let news = alice.sync(since.as_str(), "").await;
        assert!(news["rooms"]["join"][&remote.room].is_null(), "{news}");
    }
}

#[tokio::test]
async fn what_was_never_allowed_is_rejected_and_what_hangs_nowhere_refused() {
    let cluster = shared().await;
    let alice = cluster.user("alice").await;
    let remote = room(cluster, &alice, "12").await;
    let prev = remote.extremities().await;
    let content = json!({"users": {}});
    let kind = "m.room.power_levels";
    let event = Event {
        kind,
        state_key: Some(""),
        content,
        prev: &prev,
        ts: now(),
    };
    let id = remote.send(event).await;
    let levels = state(&alice, &remote.room, "m.room.power_levels")
        .await
        .unwrap();
    assert_eq!(levels["users"][&remote.id], 50);
    assert_eq!(remote.extremities().await, prev);
    let path = format!("/rooms/{}/event/{}", enc(&remote.room), enc(&id));
    alice.get(&path).await.fails(404, "M_NOT_FOUND");

    let nowhere = ["$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".to_owned()];
    let state = remote.state().await;
    let (_, pdu) = remote.build(&state, topic_event("from nowhere", &nowhere, now()));
    let refused = remote.submit(vec![pdu]).await.unwrap_err();
    assert_eq!(refused["status"], 400);
    for junk in [
        &b"not json"[..],
        b"[]",
        b"{}",
        br#"{"type":"m.room.message"}"#,
    ] {
        let refused = remote.submit(vec![junk.to_vec()]).await.unwrap_err();
        assert_eq!(refused["status"], 400, "{}", String::from_utf8_lossy(junk));
    }
}

#[tokio::test]
async fn an_event_and_its_child_in_one_transaction_and_again() {
    let cluster = shared().await;
    let alice = cluster.user("alice").await;
    let remote = room(cluster, &alice, "12").await;
    let state = remote.state().await;
    let prev = remote.extremities().await;
    let say = |text: &str, prev: &[String]| {
        let content = json!({"msgtype": "m.text", "body": text});
        let kind = "m.room.message";
        remote.build(
            &state,
            Event {
                kind,
                state_key: None,
                content,
                prev,
                ts: now(),
            },
        )
    };
    let (first, first_pdu) = say("first", &prev);
    let (second, second_pdu) = say("second", std::slice::from_ref(&first));
    let (fork, fork_pdu) = say("beside", &prev);
    let pdus = vec![first_pdu, second_pdu, fork_pdu];
    remote.submit(pdus.clone()).await.unwrap();
    // A transaction that comes again changes nothing.
    remote.submit(pdus).await.unwrap();
    let mut ends = remote.extremities().await;
    ends.sort();
    let mut wanted = vec![second.clone(), fork.clone()];
    wanted.sort();
    assert_eq!(ends, wanted);
    let page = alice
        .get(&format!(
            "/rooms/{}/messages?dir=b&limit=3",
            enc(&remote.room)
        ))
        .await
        .ok();
    let ids: Vec<&str> = page["chunk"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|e| e["event_id"].as_str())
        .collect();
    assert_eq!(ids, [fork, second, first]);
}

#[tokio::test]
async fn a_membership_undone_by_resolution_leaves_the_room_list() {
    let cluster = shared().await;
    let alice = cluster.user("alice").await;
    let bob = cluster.user("bob").await;
    let remote = room(cluster, &alice, "12").await;
    // Rita bans Bob beside Bob's own join: the ban is the stronger.
    let fork = remote.extremities().await;
    let state_at_fork = remote.state().await;
    bob.join(&remote.room).await.ok();
    let joined = bob.sync(None, "").await;
    assert!(joined["rooms"]["join"][&remote.room].is_object());
    let content = json!({"membership": "ban"});
    let kind = "m.room.member";
    let ban = Event {
        kind,
        state_key: Some(&bob.id),
        content,
        prev: &fork,
        ts: now(),
    };
    let (_, pdu) = remote.build(&state_at_fork, ban);
    remote.submit(vec![pdu]).await.unwrap();
    let member = format!(
        "/rooms/{}/state/m.room.member/{}",
        enc(&remote.room),
        enc(&bob.id)
    );
    assert_eq!(alice.get(&member).await.ok()["membership"], "ban");
    for reader in cluster.readers() {
        let bob = bob.at(&reader);
        let news = bob.sync(joined["next_batch"].as_str(), "").await;
        assert!(news["rooms"]["leave"][&remote.room].is_object(), "{news}");
        assert_eq!(
            bob.get("/joined_rooms").await.ok()["joined_rooms"],
            json!([])
        );
    }
    let path = format!("/rooms/{}/send/m.room.message/1", enc(&remote.room));
    bob.put(&path, json!({"body": "?", "msgtype": "m.text"}))
        .await
        .fails(403, "M_FORBIDDEN");
}
