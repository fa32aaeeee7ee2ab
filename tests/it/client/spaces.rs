//! The hierarchy of spaces.

use serde_json::{Value, json};

use crate::sandbox::shared;
use crate::user::{User, enc};

async fn space(user: &User, name: &str, preset: &str) -> String {
    let body = json!({"name": name, "preset": preset, "creation_content": {"type": "m.space"}});
    user.create_room(body).await
}

async fn room(user: &User, name: &str, preset: &str) -> String {
    user.create_room(json!({"name": name, "preset": preset}))
        .await
}

/// Puts rooms into a space, in this order.
async fn put_in(user: &User, space: &str, children: &[&str]) {
    for (at, child) in children.iter().enumerate() {
        let content = json!({"via": ["localhost"], "order": format!("{at:02}")});
        set_child(user, space, child, content).await;
    }
}

async fn set_child(user: &User, space: &str, child: &str, content: Value) {
    let path = format!("/rooms/{}/state/m.space.child/{}", enc(space), enc(child));
    user.put(&path, content).await.ok();
}

fn hierarchy(space: &str, query: &str) -> String {
    format!("/rooms/{}/hierarchy?{query}", enc(space))
}

fn names(answer: &Value) -> Vec<String> {
    let rooms = answer["rooms"].as_array().unwrap();
    let name = |room: &Value| room["name"].as_str().unwrap_or_default().to_owned();
    rooms.iter().map(name).collect()
}

#[tokio::test]
async fn a_tree_is_told_depth_first() {
    let cluster = shared().await;
    let alice = cluster.user("alice").await;
    let bob = cluster.user("bob").await;
    let root = space(&alice, "root", "public_chat").await;
    let sub = space(&alice, "sub", "public_chat").await;
    let one = room(&alice, "one", "public_chat").await;
    let two = room(&alice, "two", "public_chat").await;
    let deep = room(&alice, "deep", "public_chat").await;
    let gone = room(&alice, "gone", "public_chat").await;
    put_in(
        &alice,
        &root,
        &[&sub, &one, "!elsewhere:example.org", &two, &gone],
    )
    .await;
    set_child(&alice, &root, &gone, json!({})).await;
    put_in(&alice, &sub, &[&deep, &root, &one]).await;
    // A room that is no space has no children.
    put_in(&alice, &two, &[&gone]).await;
    for reader in cluster.readers() {
        let answer = bob.at(&reader).get_v1(&hierarchy(&root, "")).await.ok();
        assert_eq!(names(&answer), ["root", "sub", "deep", "one", "two"]);
        assert_eq!(answer["next_batch"], Value::Null);
    }
    let answer = bob.get_v1(&hierarchy(&root, "max_depth=1")).await.ok();
    assert_eq!(names(&answer), ["root", "sub", "one", "two"]);
    let first = &answer["rooms"][0];
    for (key, value) in [
        ("room_id", json!(root)),
        ("room_type", json!("m.space")),
        ("join_rule", json!("public")),
        ("num_joined_members", json!(1)),
        ("world_readable", json!(false)),
        ("guest_can_join", json!(false)),
        ("room_version", json!("12")),
    ] {
        assert_eq!(first[key], value, "{key}");
    }
    let children = first["children_state"].as_array().unwrap();
    let keys: Vec<&str> = children
        .iter()
        .map(|c| c["state_key"].as_str().unwrap())
        .collect();
    assert_eq!(keys, [&sub, &one, "!elsewhere:example.org", &two]);
    let child = &children[0];
    assert!(child["origin_server_ts"].is_i64(), "{child}");
    assert_eq!(child["type"], "m.space.child");
    assert_eq!(child["sender"], json!(alice.id));
    assert_eq!(
        child["content"],
        json!({"via": ["localhost"], "order": "00"})
    );
    assert_eq!(answer["rooms"][3]["children_state"], json!([]));
    let answer = bob.get_v1(&hierarchy(&root, "max_depth=0")).await.ok();
    assert_eq!(names(&answer), ["root"]);
    let suggested = json!({"via": ["localhost"], "suggested": true});
    set_child(&alice, &root, &one, suggested).await;
    let answer = bob
        .get_v1(&hierarchy(&root, "suggested_only=true"))
        .await
        .ok();
    assert_eq!(names(&answer), ["root", "one"]);
    let children = answer["rooms"][0]["children_state"].as_array().unwrap();
    assert_eq!(children.len(), 1, "{answer}");
}

#[tokio::test]
async fn a_tree_comes_in_pages_from_any_instance() {
    let cluster = shared().await;
    let alice = cluster.user("alice").await;
    let root = space(&alice, "root", "public_chat").await;
    let mut rooms = Vec::new();
    for name in ["a", "b", "c", "d"] {
        rooms.push(room(&alice, name, "public_chat").await);
    }
    let children: Vec<&str> = rooms.iter().map(String::as_str).collect();
    put_in(&alice, &root, &children).await;
    let readers = cluster.readers();
    let mut from = String::new();
    let mut all = Vec::new();
    let mut pages = 0;
    loop {
        let reader = &readers[pages % readers.len()];
        let query = format!("limit=2&max_depth=3{from}");
        let answer = alice
            .at(reader)
            .get_v1(&hierarchy(&root, &query))
            .await
            .ok();
        all.extend(names(&answer));
        pages += 1;
        let Some(token) = answer["next_batch"].as_str() else {
            break;
        };
        from = format!("&from={token}");
    }
    assert_eq!(
        (all, pages),
        (["root", "a", "b", "c", "d"].map(str::to_owned).to_vec(), 3)
    );
    for query in [
        format!("limit=2&max_depth=2{from}"),
        format!("limit=2{from}"),
        format!("limit=2&max_depth=3&suggested_only=true{from}"),
        "from=nonsense".to_owned(),
        "from=h1_16_0_x".to_owned(),
        "limit=0".to_owned(),
        "limit=-1".to_owned(),
        "max_depth=-1".to_owned(),
        "max_depth=x".to_owned(),
        "suggested_only=maybe".to_owned(),
    ] {
        let answer = alice.get_v1(&hierarchy(&root, &query)).await;
        answer.fails(400, "M_INVALID_PARAM");
    }
    let other = space(&alice, "other", "public_chat").await;
    let query = format!("max_depth=3{from}");
    let answer = alice.get_v1(&hierarchy(&other, &query)).await;
    answer.fails(400, "M_INVALID_PARAM");
    let answer = alice
        .get_v1(&hierarchy(&root, "limit=100000&max_depth=100000"))
        .await;
    assert_eq!(names(&answer.ok()).len(), 5);
}

#[tokio::test]
async fn rooms_are_told_to_whom_they_concern() {
    let cluster = shared().await;
    let alice = cluster.user("alice").await;
    let bob = cluster.user("bob").await;
    let root = space(&alice, "root", "public_chat").await;
    let hidden = space(&alice, "hidden", "private_chat").await;
    let below = room(&alice, "below", "public_chat").await;
    let with_rule = async |name: &str, rule: Value| {
        let body = json!({"name": name, "preset": "private_chat", "initial_state": [
            {"type": "m.room.join_rules", "content": rule},
        ]});
        alice.create_room(body).await
    };
    // What is no room's id is nothing to look up.
    let allow = json!([
        {"type": "m.room_membership", "room_id": "\u{0}"},
        {"type": "m.room_membership", "room_id": root},
    ]);
    let knock = with_rule("knock", json!({"join_rule": "knock"})).await;
    let restricted = json!({"join_rule": "restricted", "allow": allow});
    let restricted = with_rule("restricted", restricted).await;
    let readable = json!({"name": "readable", "preset": "private_chat", "initial_state": [{
        "type": "m.room.history_visibility", "content": {"history_visibility": "world_readable"},
    }]});
    let readable = alice.create_room(readable).await;
    let invited = room(&alice, "invited", "private_chat").await;
    let banned = room(&alice, "banned", "public_chat").await;
    put_in(&alice, &hidden, &[&below]).await;
    let all = [&*hidden, &knock, &restricted, &readable, &invited, &banned];
    put_in(&alice, &root, &all).await;
    let target = json!({"user_id": bob.id});
    let act = async |room: &str, act: &str| {
        alice
            .post(&format!("/rooms/{}/{act}", enc(room)), target.clone())
            .await
            .ok();
    };
    act(&banned, "ban").await;
    let seen = async || names(&bob.get_v1(&hierarchy(&root, "")).await.ok());
    assert_eq!(seen().await, ["root", "knock", "readable"]);
    act(&invited, "invite").await;
    bob.join(&root).await.ok();
    let inside = ["root", "knock", "restricted", "readable", "invited"];
    assert_eq!(seen().await, inside);
    act(&hidden, "invite").await;
    bob.join(&hidden).await.ok();
    assert_eq!(seen().await[..3], ["root", "hidden", "below"]);
    let answer = bob.get_v1(&hierarchy(&root, "")).await.ok();
    let rooms = answer["rooms"].as_array().unwrap();
    let told = rooms
        .iter()
        .find(|room| room["name"] == "restricted")
        .unwrap();
    assert_eq!(told["allowed_room_ids"], json!([root]));
    assert_eq!(told["join_rule"], "restricted");
    // The root itself.
    for room in [&*banned, "!unknown:localhost"] {
        let answer = bob.get_v1(&hierarchy(room, "")).await;
        answer.fails(403, "M_FORBIDDEN");
    }
}
