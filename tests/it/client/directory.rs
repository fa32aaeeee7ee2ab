//! Client-server API, "Published room directory".

use reqwest::Method;
use serde_json::{Value, json};

use super::aliases;
use crate::sandbox::shared;
use crate::user::{Reply, User, enc, request};

async fn publish(user: &User, room: &str, body: Value) -> Reply {
    user.put(&format!("/directory/list/room/{}", enc(room)), body)
        .await
}

async fn search(user: &User, term: &str, more: Value) -> Value {
    let mut body = json!({"filter": {"generic_search_term": term}});
    for (key, value) in more.as_object().unwrap() {
        match key.as_str() {
            "room_types" => body["filter"][key] = value.clone(),
            _ => body[key] = value.clone(),
        }
    }
    user.post("/publicRooms", body).await.ok()
}

fn ids(page: &Value) -> Vec<&str> {
    let chunk = page["chunk"].as_array().unwrap();
    chunk
        .iter()
        .map(|room| room["room_id"].as_str().unwrap())
        .collect()
}

fn word() -> String {
    format!("word{:08x}", rand::random::<u32>())
}

#[tokio::test]
async fn a_room_is_published_and_taken_out() {
    let cluster = shared().await;
    let readers = cluster.readers();
    let alice = cluster.user("alice").await.at(&readers[0]);
    let bob = cluster.user("bob").await;
    let word = word();
    let room = alice
        .create_room(json!({"preset": "public_chat", "name": word}))
        .await;
    let path = format!("/directory/list/room/{}", enc(&room));
    let url = format!("/_matrix/client/v3{path}");
    let visibility = async |reader: &str| {
        let reply = request(Method::GET, reader, &url, None, None).await;
        reply.ok()["visibility"].clone()
    };
    assert_eq!(visibility(&readers[1]).await, "private");
    publish(&bob, &room, json!({}))
        .await
        .fails(403, "M_FORBIDDEN");
    bob.join(&room).await.ok();
    publish(&bob, &room, json!({}))
        .await
        .fails(403, "M_FORBIDDEN");
    publish(&alice, &room, json!({"visibility": "hidden"}))
        .await
        .fails(400, "M_BAD_JSON");
    for body in [json!({}), json!({"visibility": "public"})] {
        publish(&alice, &room, body).await.ok();
        assert_eq!(visibility(&readers[1]).await, "public");
        let found = search(&bob, &word, json!({})).await;
        assert_eq!(ids(&found), [room.as_str()]);
    }
    publish(&alice, &room, json!({"visibility": "private"}))
        .await
        .ok();
    assert_eq!(visibility(&readers[1]).await, "private");
    assert!(ids(&search(&bob, &word, json!({})).await).is_empty());
    let unknown = "!unknown:localhost";
    let reply = publish(&alice, unknown, json!({})).await;
    reply.fails(404, "M_NOT_FOUND");
    alice
        .get(&format!("/directory/list/room/{}", enc(unknown)))
        .await
        .fails(404, "M_NOT_FOUND");
}

#[tokio::test]
async fn what_the_directory_tells_of_a_room() {
    let cluster = shared().await;
    let (alice, bob) = (cluster.user("alice").await, cluster.user("bob").await);
    let word = word();
    let state = json!([
        {"type": "m.room.history_visibility", "content": {"history_visibility": "world_readable"}},
        {"type": "m.room.guest_access", "content": {"guest_access": "can_join"}},
        {"type": "m.room.avatar", "content": {"url": "mxc://localhost/abc"}},
    ]);
    let body = json!({
        "visibility": "public", "name": "A Space", "topic": format!("about {word}"),
        "room_alias_name": word, "creation_content": {"type": "m.space"}, "initial_state": state,
    });
    let room = alice.create_room(body).await;
    bob.join(&room).await.ok();
    let found = search(&bob, &word.to_uppercase(), json!({})).await;
    let told = json!({
        "room_id": room, "name": "A Space", "topic": format!("about {word}"),
        "canonical_alias": format!("#{word}:localhost"), "avatar_url": "mxc://localhost/abc",
        "num_joined_members": 2, "world_readable": true, "guest_can_join": true,
        "join_rule": "public", "room_type": "m.space",
    });
    assert_eq!(found["chunk"], json!([told]));
    // Found by its alias, too, and gone with who left it.
    let leave = format!("/rooms/{}/leave", enc(&room));
    bob.post(&leave, json!({})).await.ok();
    let found = search(&bob, &format!("#{word}"), json!({})).await;
    assert_eq!(found["chunk"][0]["num_joined_members"], 1);
    let bare = alice
        .create_room(json!({"visibility": "public", "name": word}))
        .await;
    let found = search(&bob, &word, json!({"room_types": [null]})).await;
    assert_eq!(
        found["chunk"],
        json!([{
            "room_id": bare, "name": word, "num_joined_members": 1, "world_readable": false,
            "guest_can_join": false, "join_rule": "public",
        }])
    );
    let spaces = search(&bob, &word, json!({"room_types": ["m.space"]})).await;
    assert_eq!(ids(&spaces), [room.as_str()]);
    let all = search(&bob, &word, json!({"room_types": ["m.space", null]})).await;
    assert_eq!(ids(&all), [bare.as_str(), room.as_str()]);
    let none = search(&bob, &word, json!({"third_party_instance_id": "irc"})).await;
    assert_eq!(none["chunk"], json!([]));
}

#[tokio::test]
async fn pages_there_and_back() {
    let cluster = shared().await;
    let alice = cluster.user("alice").await;
    let word = word();
    let mut rooms = Vec::new();
    for n in 0..5 {
        let body = json!({"visibility": "public", "name": format!("{word} {n}")});
        rooms.insert(0, alice.create_room(body).await);
    }
    let first = search(&alice, &word, json!({"limit": 2})).await;
    assert_eq!(ids(&first), rooms[..2]);
    let second = json!({"limit": 2, "since": first["next_batch"]});
    let second = search(&alice, &word, second).await;
    assert_eq!(ids(&second), rooms[2..4]);
    // Walk on to the end: nothing twice, nothing left out.
    let mut seen: Vec<String> = Vec::new();
    let mut since = Value::Null;
    loop {
        let mut more = json!({"limit": 2});
        if since.is_string() {
            more["since"] = since.clone();
        }
        let page = search(&alice, &word, more).await;
        seen.extend(ids(&page).into_iter().map(str::to_owned));
        since = page["next_batch"].clone();
        if !since.is_string() {
            break;
        }
    }
    assert_eq!(seen, rooms);
    let back = json!({"limit": 2, "since": second["prev_batch"]});
    let back = search(&alice, &word, back).await;
    assert_eq!(ids(&back), rooms[..2]);
    let again = json!({"limit": 2, "since": back["next_batch"]});
    assert_eq!(ids(&search(&alice, &word, again).await), rooms[2..4]);
    // Without a filter, and without an account.
    let path = "/_matrix/client/v3/publicRooms";
    let get = async |query: &str| {
        let path = format!("{path}{query}");
        request(Method::GET, cluster.url(), &path, None, None).await
    };
    let page = get("?limit=1").await.ok();
    assert_eq!(ids(&page).len(), 1);
    assert!(
        page["total_room_count_estimate"].as_i64() >= Some(5),
        "{page}"
    );
    assert!(page["prev_batch"].is_null() && page["next_batch"].is_string());
    get("?since=nonsense").await.fails(400, "M_INVALID_PARAM");
    get("?since=o-9223372036854775808").await.ok();
    get("?server=localhost").await.ok();
    get("?server=example.org").await.fails(403, "M_FORBIDDEN");
    alice
        .post("/publicRooms?server=example.org", json!({}))
        .await
        .fails(403, "M_FORBIDDEN");
    assert_eq!(aliases::aliases(&alice, &rooms[0]).await, json!([]));
}
