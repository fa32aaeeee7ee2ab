//! The list of notifications, on every instance, before and after pusher has judged.

use std::time::Duration;

use ganglion_model::Shard;
use reqwest::Method;
use serde_json::{Value, json};

use crate::sandbox::{Shared, connect, eventually, shared};
use crate::user::{User, enc};

/// A page as every instance tells it.
async fn page(cluster: &Shared, user: &User, query: &str) -> Value {
    let path = format!("/notifications{query}");
    let mut found = user.get(&path).await.ok();
    ageless(&mut found);
    for reader in cluster.readers() {
        let mut same = user.at(&reader).get(&path).await.ok();
        ageless(&mut same);
        assert_eq!(same["notifications"], found["notifications"]);
        assert_eq!(same["next_token"].is_null(), found["next_token"].is_null());
    }
    found
}

/// Without what goes on while instances are asked one after the other.
fn ageless(value: &mut Value) {
    match value {
        Value::Array(values) => values.iter_mut().for_each(ageless),
        Value::Object(members) => {
            members.remove("age");
            members.values_mut().for_each(ageless);
        }
        _ => {}
    }
}

fn list(page: &Value) -> &[Value] {
    page["notifications"].as_array().unwrap()
}

fn ids(page: &Value) -> Vec<&str> {
    let list = list(page).iter();
    list.map(|one| one["event"]["event_id"].as_str().unwrap())
        .collect()
}

fn unread(page: &Value) -> Vec<&str> {
    let unread = list(page).iter().filter(|one| one["read"] == false);
    unread
        .map(|one| one["event"]["event_id"].as_str().unwrap())
        .collect()
}

/// Waits until pusher has judged everything in a room.
async fn judged(cluster: &Shared, room: &str) {
    let db = connect(&cluster.facts.postgres.primary).await;
    let shard = Shard::of_room(&ruma::RoomId::parse(room).unwrap()).number();
    let head = async |shard: i16| -> i64 {
        let query = "SELECT coalesce(max(last_pos), 0) FROM batches WHERE shard = $1";
        db.query_one(query, &[&shard]).await.unwrap().get(0)
    };
    let wanted = head(shard).await;
    let read = async || head(shard + 64).await >= wanted;
    assert!(eventually(Duration::from_secs(20), read).await);
}

/// Waits until pusher judges by rules that were set just now: it hears of them by another log.
async fn in_force(
    cluster: &Shared,
    (alice, bob, room): (&User, &User, &str),
    (text, listed): (&str, bool),
) {
    let told = async || {
        let event = alice.say(room, text).await;
        judged(cluster, room).await;
        let query = if listed { "?only=highlight" } else { "" };
        ids(&page(cluster, bob, query).await).contains(&&*event) == listed
    };
    assert!(eventually(Duration::from_secs(20), told).await);
}

async fn mention(from: &User, room: &str, text: &str, mentions: Value) -> String {
    let content = json!({"msgtype": "m.text", "body": text, "m.mentions": mentions});
    from.send_content(room, "m.room.message", content).await
}

async fn public(alice: &User, members: &[&User]) -> String {
    let room = alice.create_room(json!({"preset": "public_chat"})).await;
    for member in members {
        member.join(&room).await.ok();
    }
    room
}

#[tokio::test]
async fn the_newest_come_first_and_pages_go_on() {
    let cluster = shared().await;
    let alice = cluster.user("alice").await;
    let bob = cluster.user("bob").await;
    assert_eq!(page(cluster, &bob, "").await, json!({"notifications": []}));
    let mut rooms = Vec::new();
    for _ in 0..3 {
        rooms.push(public(&alice, &[&bob]).await);
    }
    let mut sent = Vec::new();
    for round in 0..4 {
        for room in &rooms {
            let event = alice.say(room, &format!("{round}")).await;
            sent.insert(0, event);
            bob.say(room, "own messages do not notify").await;
            let path = format!("/rooms/{}/state/m.room.topic", enc(room));
            alice
                .put(&path, json!({"topic": format!("{round}")}))
                .await
                .ok();
        }
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
    let all = page(cluster, &bob, "").await;
    let mut of_all = ids(&all);
    assert_eq!(of_all.len(), sent.len());
    // Those of one millisecond have no order among rooms.
    let ts: Vec<i64> = list(&all)
        .iter()
        .map(|one| one["ts"].as_i64().unwrap())
        .collect();
    assert!(ts.is_sorted_by(|newer, older| newer >= older), "{ts:?}");
    let in_order = of_all.clone();
    of_all.sort_unstable();
    sent.sort_unstable();
    assert_eq!(of_all, sent);
    assert!(all["next_token"].is_null(), "{all}");
    // Each page by another instance; what comes meanwhile moves nothing.
    let mut paged = Vec::new();
    let mut query = "?limit=5".to_owned();
    let readers = cluster.readers();
    for turn in 0.. {
        let reader = &readers[turn % readers.len()];
        let next = bob
            .at(reader)
            .get(&format!("/notifications{query}"))
            .await
            .ok();
        assert_eq!(ids(&next).len(), if turn < 2 { 5 } else { 2 });
        paged.extend(ids(&next).into_iter().map(str::to_owned));
        alice.say(&rooms[turn], "meanwhile").await;
        match next["next_token"].as_str() {
            Some(token) => query = format!("?limit=5&from={}", enc(token)),
            None => break,
        }
    }
    assert_eq!(paged, in_order);
    // The older path is the same.
    let url = format!("{}/_matrix/client/r0/notifications?limit=1", cluster.url());
    let old = crate::user::http().get(&url).bearer_auth(&bob.token);
    let old: Value = old.send().await.unwrap().json().await.unwrap();
    assert_eq!(list(&old)[0]["event"]["content"]["body"], "meanwhile");
}

#[tokio::test]
async fn a_notification_tells_event_actions_room_and_time() {
    let cluster = shared().await;
    let alice = cluster.user("alice").await;
    let bob = cluster.user("bob").await;
    let carol = cluster.user("carol").await;
    let room = public(&alice, &[&bob, &carol]).await;
    alice.say(&room, "plain").await;
    mention(&alice, &room, "bob", json!({"user_ids": [bob.id]})).await;
    mention(&alice, &room, "all", json!({"room": true})).await;
    mention(&alice, &room, "carol", json!({"user_ids": [carol.id]})).await;
    let direct = alice.create_room(json!({"invite": [bob.id]})).await;
    for judge in [false, true] {
        if judge {
            judged(cluster, &room).await;
            judged(cluster, &direct).await;
        }
        let all = page(cluster, &bob, "").await;
        let bodies: Vec<&Value> = list(&all)
            .iter()
            .map(|one| &one["event"]["content"]["body"])
            .collect();
        assert_eq!(
            bodies,
            [
                &Value::Null,
                &json!("carol"),
                &json!("all"),
                &json!("bob"),
                &json!("plain")
            ]
        );
        let invitation = &list(&all)[0];
        assert_eq!(invitation["room_id"], direct);
        assert_eq!(invitation["event"]["content"]["membership"], "invite");
        assert!(has_sound(invitation));
        let plain = &list(&all)[4];
        assert_eq!(plain["room_id"], room);
        assert_eq!(plain["read"], false);
        assert!(plain["profile_tag"].is_null());
        assert_eq!(plain["ts"], plain["event"]["origin_server_ts"]);
        assert_eq!(plain["event"]["sender"], alice.id);
        assert!(plain["event"]["room_id"].is_null());
        assert_eq!(plain["event"]["unsigned"]["membership"], "join");
        assert_eq!(plain["actions"][0], "notify");
        assert!(!has_sound(plain), "{plain}");
        let highlights = page(cluster, &bob, "?only=highlight").await;
        assert_eq!(ids(&highlights), [&ids(&all)[2..4]].concat());
        let first = page(cluster, &bob, "?only=highlight&limit=1").await;
        let token = enc(first["next_token"].as_str().unwrap());
        let second = page(
            cluster,
            &bob,
            &format!("?only=highlight&limit=1&from={token}"),
        )
        .await;
        assert_eq!([ids(&first), ids(&second)].concat(), ids(&highlights));
        assert!(second["next_token"].is_null());
    }
    // Declined: it is no room of the user any more.
    let leave = format!("/rooms/{}/leave", enc(&direct));
    bob.post(&leave, json!({})).await.ok();
    assert_eq!(list(&page(cluster, &bob, "").await).len(), 4);
    // Between two, a message has a sound.
    let two = public(&alice, &[&bob]).await;
    alice.say(&two, "you").await;
    let newest = page(cluster, &bob, "?limit=1").await;
    assert!(has_sound(&list(&newest)[0]), "{newest}");
}

fn has_sound(one: &Value) -> bool {
    let actions = one["actions"].as_array().unwrap();
    actions.iter().any(|action| action["set_tweak"] == "sound")
}

#[tokio::test]
async fn receipts_own_events_and_joins_read() {
    let cluster = shared().await;
    let alice = cluster.user("alice").await;
    let bob = cluster.user("bob").await;
    let room = public(&alice, &[&bob]).await;
    let read = async |event: &str, kind: &str, thread: Option<&str>| {
        let path = format!("/rooms/{}/receipt/{kind}/{}", enc(&room), enc(event));
        let body = thread.map_or(json!({}), |thread| json!({"thread_id": thread}));
        bob.post(&path, body).await.ok();
    };
    let root = alice.say(&room, "root").await;
    let first = alice.say(&room, "first").await;
    let reply = alice.relate(&room, "m.thread", &root, "reply").await;
    let other = alice.relate(&room, "m.thread", &root, "other").await;
    let last = alice.say(&room, "last").await;
    let now = async || page(cluster, &bob, "").await;
    assert_eq!(
        unread(&now().await),
        [&*last, &other, &reply, &first, &root]
    );
    read(&root, "m.read", None).await;
    assert_eq!(unread(&now().await), [&*last, &other, &reply, &first]);
    read(&reply, "m.read.private", Some(&root)).await;
    assert_eq!(unread(&now().await), [&*last, &other, &first]);
    read(&first, "m.read", Some("main")).await;
    assert_eq!(unread(&now().await), [&*last, &other]);
    bob.relate(&room, "m.thread", &root, "own").await;
    assert_eq!(unread(&now().await), [&*last]);
    // A stay that has ended is still listed, and the next one has read it.
    let leave = format!("/rooms/{}/leave", enc(&room));
    bob.post(&leave, json!({})).await.ok();
    assert!(list(&now().await).is_empty());
    alice.say(&room, "nobody is there").await;
    bob.join(&room).await.ok();
    let found = now().await;
    assert_eq!(ids(&found), [&*last, &other, &reply, &first, &root]);
    assert!(unread(&found).is_empty());
}

#[tokio::test]
async fn own_rules_and_ignored_users_decide() {
    let cluster = shared().await;
    let alice = cluster.user("alice").await;
    let bob = cluster.user("bob").await;
    let carol = cluster.user("carol").await;
    let room = public(&alice, &[&bob, &carol]).await;
    let rule = json!({"pattern": "cake", "actions": ["notify", {"set_tweak": "highlight"}]});
    let cake_rule = "/pushrules/global/content/cake";
    bob.put(cake_rule, rule).await.ok();
    let says =
        |text: &'static str, listed| in_force(cluster, (&alice, &bob, &room), (text, listed));
    says("cake?", true).await;
    let cake = alice.say(&room, "there is cake").await;
    let other = alice.say(&room, "else").await;
    judged(cluster, &room).await;
    let muted = format!("/pushrules/global/room/{}", enc(&room));
    bob.put(&muted, json!({"actions": []})).await.ok();
    says("quiet?", false).await;
    let more = alice.say(&room, "more cake").await;
    let muted_event = alice.say(&room, "muted").await;
    let known = [&*more, &other, &cake, &muted_event];
    let among = |page: &Value| -> Vec<String> {
        let ids = ids(page).into_iter().filter(|id| known.contains(id));
        ids.map(str::to_owned).collect()
    };
    for judge in [false, true] {
        if judge {
            judged(cluster, &room).await;
        }
        let found = page(cluster, &bob, "").await;
        assert_eq!(among(&found), [&*more, &other, &cake], "{found}");
        let highlights = page(cluster, &bob, "?only=highlight").await;
        assert_eq!(among(&highlights), [&*more, &cake]);
    }
    // Rules that are gone do not take back what they have said.
    bob.call(Method::DELETE, cake_rule, None).await.ok();
    bob.call(Method::DELETE, &muted, None).await.ok();
    let highlights = page(cluster, &bob, "?only=highlight").await;
    assert_eq!(among(&highlights), [&*more, &cake]);
    let actions = json!(["notify", {"set_tweak": "highlight"}]);
    assert_eq!(list(&highlights)[0]["actions"], actions);
    let of_carol = carol.say(&room, "hello").await;
    assert_eq!(ids(&page(cluster, &bob, "?limit=1").await), [&*of_carol]);
    let path = format!("/user/{}/account_data/m.ignored_user_list", enc(&bob.id));
    let ignored = json!({"ignored_users": {&carol.id: {}}});
    bob.put(&path, ignored).await.ok();
    let found = page(cluster, &bob, "").await;
    assert!(!ids(&found).contains(&&*of_carol), "{found}");
}

#[tokio::test]
async fn bad_parameters_are_refused() {
    let cluster = shared().await;
    let bob = cluster.user("bob").await;
    let get = async |query: &str| bob.get(&format!("/notifications{query}")).await;
    for query in [
        "?limit=0",
        "?only=everything",
        "?from=nonsense",
        "?from=p1_5",
        "?from=",
    ] {
        get(query).await.fails(400, "M_INVALID_PARAM");
    }
    // Not a number.
    let reply = get("?limit=some").await;
    assert_eq!(reply.status, 400);
    assert_eq!(list(&get("?limit=100000").await.ok()).len(), 0);
}
