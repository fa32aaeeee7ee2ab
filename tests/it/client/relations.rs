//! Client-server API, "Forming relationships between events".

use serde_json::{Value, json};

use crate::sandbox::shared;
use crate::user::{User, enc, texts};

fn ids(events: &Value) -> Vec<&str> {
    let events = events.as_array().unwrap().iter();
    events
        .map(|event| event["event_id"].as_str().unwrap())
        .collect()
}

async fn redact(user: &User, room: &str, event: &str) {
    let txn = rand::random::<u32>();
    let path = format!("/rooms/{}/redact/{}/{txn}", enc(room), enc(event));
    user.put(&path, json!({})).await.ok();
}

async fn bundle(user: &User, room: &str, event: &str) -> Value {
    let path = format!("/rooms/{}/event/{}", enc(room), enc(event));
    user.get(&path).await.ok()["unsigned"]["m.relations"].clone()
}

#[tokio::test]
async fn children_are_paged_both_ways_and_chosen_by_kind_and_type() {
    let cluster = shared().await;
    let alice = cluster.user("alice").await;
    let room = alice.create_room(json!({})).await;
    let parent = alice.say(&room, "parent").await;
    let other = alice.say(&room, "other").await;
    let mut children = Vec::new();
    for n in 0..9 {
        let kind = if n % 3 == 0 { "m.reference" } else { "org.x" };
        children.push(alice.relate(&room, kind, &parent, &format!("c{n}")).await);
        alice.relate(&room, kind, &other, "not this").await;
    }
    let body = json!({"m.relates_to": {"rel_type": "org.x", "event_id": parent}});
    children.push(alice.send_content(&room, "org.type", body).await);
    let path = |rest: &str| format!("/rooms/{}/relations/{}{rest}", enc(&room), enc(&parent));
    for dir in ["b", "f"] {
        let (mut found, mut from) = (Vec::new(), String::new());
        for page in 0.. {
            assert!(page < 10, "no end");
            let reader = &cluster.readers()[page % 2];
            let query = path(&format!("?dir={dir}&limit=4{from}"));
            let got = alice.at(reader).get_v1(&query).await.ok();
            assert_eq!(got["prev_batch"].is_null(), page == 0, "{got}");
            assert!(got["recursion_depth"].is_null());
            found.extend(ids(&got["chunk"]).into_iter().map(str::to_owned));
            let Some(next) = got["next_batch"].as_str() else {
                break;
            };
            from = format!("&from={next}");
        }
        if dir == "b" {
            found.reverse();
        }
        assert_eq!(found, children, "{dir}");
    }
    let got = alice.get_v1(&path("/m.reference")).await.ok();
    assert_eq!(texts(&got["chunk"]), ["c6", "c3", "c0"]);
    let got = alice.get_v1(&path("/org.x/org.type?dir=f")).await.ok();
    assert_eq!(ids(&got["chunk"]), [&children[9]]);
    let got = alice.get_v1(&path("/org.x/org.unknown")).await.ok();
    assert_eq!(got, json!({"chunk": []}));
    // Between two tokens, of which the first is of /sync.
    let since = alice.sync(None, "").await["next_batch"].clone();
    let late = alice.relate(&room, "org.x", &parent, "late").await;
    let query = path(&format!("?to={}", since.as_str().unwrap()));
    assert_eq!(
        ids(&alice.get_v1(&query).await.ok()["chunk"]),
        [late.as_str()]
    );
    redact(&alice, &room, &late).await;
    assert_eq!(
        alice.get_v1(&query).await.ok()["chunk"],
        json!([]),
        "a redaction ends the relation"
    );
    for bad in ["?dir=x", "?from=nonsense", "?to=nonsense", "?limit=-1"] {
        alice.get_v1(&path(bad)).await.fails(400, "M_INVALID_PARAM");
    }
}

#[tokio::test]
async fn children_of_children_come_with_recursion() {
    let cluster = shared().await;
    let alice = cluster.user("alice").await;
    let room = alice.create_room(json!({})).await;
    let mut last = alice.say(&room, "root").await;
    let root = last.clone();
    for (n, kind) in ["m.thread", "org.x", "org.x", "org.x"].iter().enumerate() {
        last = alice
            .relate(&room, kind, &last, &format!("c{}", n + 1))
            .await;
    }
    let path = |rest: &str| format!("/rooms/{}/relations/{}{rest}", enc(&room), enc(&root));
    let flat = alice.get_v1(&path("")).await.ok();
    assert_eq!(texts(&flat["chunk"]), ["c1"]);
    let deep = alice.get_v1(&path("?recurse=true")).await.ok();
    assert_eq!(texts(&deep["chunk"]), ["c3", "c2", "c1"]);
    assert_eq!(deep["recursion_depth"], 3);
    let page = alice
        .get_v1(&path("?recurse=true&dir=f&limit=2"))
        .await
        .ok();
    assert_eq!(texts(&page["chunk"]), ["c1", "c2"]);
    let next = page["next_batch"].as_str().unwrap();
    let page = alice
        .get_v1(&path(&format!("?recurse=true&dir=f&from={next}")))
        .await
        .ok();
    assert_eq!(texts(&page["chunk"]), ["c3"]);
    // The filter is for what lies between, too.
    let none = alice.get_v1(&path("/org.x?recurse=true")).await.ok();
    assert_eq!(none["chunk"], json!([]));
}

#[tokio::test]
async fn who_may_not_see_the_parent_learns_nothing() {
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
    let early = alice.say(&room, "early").await;
    let path = |event: &str| format!("/rooms/{}/relations/{}", enc(&room), enc(event));
    for more in ["", "/m.reference", "/m.reference/m.room.message"] {
        let path = format!("{}{more}", path(&early));
        bob.get_v1(&path).await.fails(404, "M_NOT_FOUND");
    }
    bob.join(&room).await.ok();
    let parent = alice.say(&room, "parent").await;
    alice.relate(&room, "m.reference", &parent, "seen").await;
    bob.get_v1(&path(&early)).await.fails(404, "M_NOT_FOUND");
    bob.post(&format!("/rooms/{}/leave", enc(&room)), json!({}))
        .await
        .ok();
    alice.relate(&room, "m.reference", &parent, "hidden").await;
    let got = bob.get_v1(&path(&parent)).await.ok();
    assert_eq!(texts(&got["chunk"]), ["seen"]);
    let references = bundle(&bob, &room, &parent).await;
    assert_eq!(
        references["m.reference"]["chunk"].as_array().unwrap().len(),
        1
    );
    alice
        .get_v1(&path("$unknown"))
        .await
        .fails(404, "M_NOT_FOUND");
    let elsewhere = format!("/rooms/{}/relations/{}", enc("!unknown:x"), enc(&parent));
    alice.get_v1(&elsewhere).await.fails(404, "M_NOT_FOUND");
}

#[tokio::test]
async fn the_newest_valid_edit_is_told_with_its_event() {
    let cluster = shared().await;
    let alice = cluster.user("alice").await;
    let bob = cluster.user("bob").await;
    let room = alice.create_room(json!({"preset": "public_chat"})).await;
    bob.join(&room).await.ok();
    let event = alice.say(&room, "original").await;
    assert_eq!(bundle(&alice, &room, &event).await, Value::Null);
    let first = alice.relate(&room, "m.replace", &event, "first").await;
    let second = alice.relate(&room, "m.replace", &event, "second").await;
    // None of these counts: of another, of another type, without new content, of an edit, a state
    // event's.
    bob.relate(&room, "m.replace", &event, "bob's").await;
    let relation = json!({"rel_type": "m.replace", "event_id": event});
    let other = json!({"m.relates_to": relation, "m.new_content": {}});
    alice.send_content(&room, "org.type", other.clone()).await;
    let bare = json!({"body": "*", "m.relates_to": relation});
    alice.send_content(&room, "m.room.message", bare).await;
    alice.relate(&room, "m.replace", &first, "of an edit").await;
    let name = format!("/rooms/{}/state/m.room.name", enc(&room));
    let name = alice.put(&name, json!({"name": "x"})).await.ok()["event_id"].clone();
    let of_state = json!({
        "m.relates_to": {"rel_type": "m.replace", "event_id": name}, "m.new_content": {},
    });
    alice.send_content(&room, "m.room.name", of_state).await;
    for reader in cluster.readers() {
        let alice = alice.at(&reader);
        let got = bundle(&alice, &room, &event).await;
        let edit = &got["m.replace"];
        assert_eq!(edit["event_id"], second, "{got}");
        assert_eq!(edit["content"]["m.new_content"]["body"], "second");
        assert_eq!(edit["room_id"], room);
        assert_eq!(bundle(&alice, &room, &first).await, Value::Null);
        let of_state = bundle(&alice, &room, name.as_str().unwrap()).await;
        assert_eq!(of_state, Value::Null);
        // The content stays as it was sent.
        let path = format!("/rooms/{}/event/{}", enc(&room), enc(&event));
        assert_eq!(alice.get(&path).await.ok()["content"]["body"], "original");
    }
    redact(&alice, &room, &second).await;
    let got = bundle(&bob, &room, &event).await;
    assert_eq!(got["m.replace"]["event_id"], first);
    redact(&alice, &room, &event).await;
    assert_eq!(bundle(&bob, &room, &event).await, Value::Null);
}

#[tokio::test]
async fn aggregations_come_wherever_events_do() {
    let cluster = shared().await;
    let alice = cluster.user("alice").await;
    let bob = cluster.user("bob").await;
    let room = alice.create_room(json!({"preset": "public_chat"})).await;
    bob.join(&room).await.ok();
    let root = alice.say(&room, "root").await;
    let since = bob.sync(None, "").await["next_batch"].clone();
    let reference = alice.relate(&room, "m.reference", &root, "see").await;
    alice.relate(&room, "m.thread", &root, "one").await;
    let two = alice.relate(&room, "m.thread", &root, "two").await;
    let edit = alice.relate(&room, "m.replace", &two, "two!").await;
    alice.relate(&room, "m.annotation", &root, "+").await;
    let check = |bundle: &Value, participated: bool| {
        assert_eq!(
            bundle["m.reference"],
            json!({"chunk": [{"event_id": reference}]}),
            "{bundle}"
        );
        let thread = &bundle["m.thread"];
        assert_eq!(thread["count"], 2, "{bundle}");
        assert_eq!(thread["current_user_participated"], participated);
        let latest = &thread["latest_event"];
        assert_eq!(latest["event_id"], two);
        // The newest reply has its own.
        let edited = &latest["unsigned"]["m.relations"]["m.replace"];
        assert_eq!(edited["event_id"], edit, "{latest}");
        assert!(bundle["m.annotation"].is_null());
    };
    let of = |events: &Value| {
        let events = events.as_array().unwrap().iter();
        let mut roots = events.filter(|event| event["event_id"] == root);
        roots.next().unwrap()["unsigned"]["m.relations"].clone()
    };
    for reader in cluster.readers() {
        for (user, participated) in [(alice.at(&reader), true), (bob.at(&reader), false)] {
            check(&bundle(&user, &room, &root).await, participated);
            let path = format!("/rooms/{}/messages?dir=b&limit=50", enc(&room));
            check(&of(&user.get(&path).await.ok()["chunk"]), participated);
            let path = format!("/rooms/{}/context/{}?limit=20", enc(&room), enc(&two));
            let context = user.get(&path).await.ok();
            check(&of(&context["events_before"]), participated);
            let path = format!("/rooms/{}/context/{}", enc(&room), enc(&root));
            let context = user.get(&path).await.ok();
            check(&context["event"]["unsigned"]["m.relations"], participated);
        }
        // /sync: where the timeline is limited, and as of its end.
        let bob = bob.at(&reader);
        let all = bob.sync(None, "").await;
        let timeline = &all["rooms"]["join"][&room]["timeline"];
        assert_eq!(timeline["limited"], true, "{timeline}");
        check(&of(&timeline["events"]), false);
        let news = bob.sync(since.as_str(), "").await;
        assert!(!news.to_string().contains("m.relations"), "{news}");
    }
    // Of an event's children: an edit of a child is shown with it.
    let path = format!("/rooms/{}/relations/{}/m.thread", enc(&room), enc(&root));
    let got = alice.get_v1(&path).await.ok();
    assert_eq!(texts(&got["chunk"]), ["two", "one"]);
    let edited = &got["chunk"][0]["unsigned"]["m.relations"]["m.replace"];
    assert_eq!(edited["event_id"], edit);
    // Whom bob ignores does not count for him.
    let own = bob.say(&room, "own").await;
    alice.relate(&room, "m.thread", &own, "one").await;
    let two = alice.relate(&room, "m.thread", &own, "two").await;
    let data = format!("/user/{}/account_data/m.ignored_user_list", enc(&bob.id));
    bob.put(&data, json!({"ignored_users": {&alice.id: {}}}))
        .await
        .ok();
    let path = format!("/rooms/{}/event/{}", enc(&room), enc(&root));
    bob.get(&path).await.fails(404, "M_NOT_FOUND");
    assert_eq!(bundle(&bob, &room, &own).await, Value::Null);
    bob.relate(&room, "m.thread", &own, "three").await;
    let got = bundle(&bob, &room, &own).await;
    assert_eq!(got["m.thread"]["count"], 1, "{got}");
    assert_eq!(got["m.thread"]["current_user_participated"], true);
    redact(&alice, &room, &two).await;
    let got = bundle(&alice, &room, &own).await;
    assert_eq!(got["m.thread"]["count"], 2, "{got}");
}

#[tokio::test]
async fn the_same_annotation_is_made_once() {
    let cluster = shared().await;
    let (alice, bob) = (cluster.user("alice").await, cluster.user("bob").await);
    let room = alice.create_room(json!({"preset": "public_chat"})).await;
    bob.join(&room).await.ok();
    let root = alice.say(&room, "root").await;
    let reaction = |key: Value| json!({"m.relates_to": {"rel_type": "m.annotation", "event_id": root, "key": key}});
    let react = async |user: &User, kind: &str, key: Value| {
        let txn = format!("{:016x}", rand::random::<u64>());
        let path = format!("/rooms/{}/send/{kind}/{txn}", enc(&room));
        user.put(&path, reaction(key)).await
    };
    let first = react(&alice, "m.reaction", json!("+")).await.ok();
    let first = first["event_id"].as_str().unwrap().to_owned();
    for reader in cluster.readers() {
        let again = react(&alice.at(&reader), "m.reaction", json!("+")).await;
        again.fails(400, "M_DUPLICATE_ANNOTATION");
    }
    react(&alice, "m.reaction", json!("-")).await.ok();
    react(&alice, "org.example.mark", json!("+")).await.ok();
    react(&bob, "m.reaction", json!("+")).await.ok();
    // Without a key it is no annotation.
    react(&alice, "m.reaction", json!(5)).await.ok();
    react(&alice, "m.reaction", json!(5)).await.ok();
    redact(&alice, &room, &first).await;
    react(&alice, "m.reaction", json!("+")).await.ok();
    // At once: one of them is first.
    let at_once = (0..8).map(|_| react(&bob, "m.reaction", json!("!")));
    let replies = futures_util::future::join_all(at_once).await;
    let taken = replies.iter().filter(|reply| reply.status == 200).count();
    assert_eq!(taken, 1);
    // The same transaction is the same event.
    let path = format!("/rooms/{}/send/m.reaction/txn1", enc(&room));
    let one = alice.put(&path, reaction(json!("?"))).await.ok();
    assert_eq!(alice.put(&path, reaction(json!("?"))).await.ok(), one);
    // Who is not in the room learns nothing.
    let eve = cluster.user("eve").await;
    let reply = react(&eve, "m.reaction", json!("+")).await;
    reply.fails(403, "M_FORBIDDEN");
}
