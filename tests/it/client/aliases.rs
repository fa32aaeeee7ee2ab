//! Client-server API, "Room aliases".

use reqwest::Method;
use serde_json::{Value, json};

use crate::sandbox::shared;
use crate::user::{Reply, User, enc, request};

/// An alias that no other test has.
pub(super) fn fresh(name: &str) -> String {
    format!("#{name}-{:08x}:localhost", rand::random::<u32>())
}

fn path(alias: &str) -> String {
    format!("/directory/room/{}", enc(alias))
}

pub(super) async fn set(user: &User, alias: &str, room: &str) -> Reply {
    user.put(&path(alias), json!({"room_id": room})).await
}

async fn delete(user: &User, alias: &str) -> Reply {
    user.call(Method::DELETE, &path(alias), None).await
}

pub(super) async fn aliases(user: &User, room: &str) -> Value {
    let aliases = user.get(&format!("/rooms/{}/aliases", enc(room))).await;
    aliases.ok()["aliases"].clone()
}

async fn canonical(user: &User, room: &str) -> Value {
    let path = format!("/rooms/{}/state/m.room.canonical_alias", enc(room));
    user.get(&path).await.ok()
}

#[tokio::test]
async fn an_alias_is_set_found_and_taken_away() {
    let cluster = shared().await;
    let readers = cluster.readers();
    let alice = cluster.user("alice").await.at(&readers[0]);
    let room = alice.create_room(json!({})).await;
    let alias = fresh("den");
    assert_eq!(aliases(&alice, &room).await, json!([]));
    set(&alice, &alias, &room).await.ok();
    set(&alice, &alias, &room).await.fails(409, "M_UNKNOWN");
    // Anybody finds it, without an account and on every instance.
    for reader in &readers {
        let url = format!("/_matrix/client/v3{}", path(&alias));
        let found = request(Method::GET, reader, &url, None, None).await.ok();
        assert_eq!(found, json!({"room_id": room, "servers": ["localhost"]}));
        assert_eq!(aliases(&alice.at(reader), &room).await, json!([alias]));
    }
    delete(&alice, &alias).await.ok();
    for reader in &readers {
        let alice = alice.at(reader);
        alice.get(&path(&alias)).await.fails(404, "M_NOT_FOUND");
        assert_eq!(aliases(&alice, &room).await, json!([]));
    }
    delete(&alice, &alias).await.fails(404, "M_NOT_FOUND");
    // It is free for another room.
    let other = alice.create_room(json!({})).await;
    set(&alice, &alias, &other).await.ok();
    assert_eq!(alice.get(&path(&alias)).await.ok()["room_id"], other);
}

#[tokio::test]
async fn what_is_no_alias_of_ours_is_refused() {
    let cluster = shared().await;
    let (alice, bob) = (cluster.user("alice").await, cluster.user("bob").await);
    let room = alice.create_room(json!({})).await;
    for alias in [
        "nonsense",
        "#elsewhere:example.org",
        "#:localhost",
        "#a b:localhost",
    ] {
        let reply = set(&alice, alias, &room).await;
        reply.fails(400, "M_INVALID_PARAM");
    }
    alice
        .get(&path("nonsense"))
        .await
        .fails(400, "M_INVALID_PARAM");
    alice
        .get(&path("#elsewhere:example.org"))
        .await
        .fails(404, "M_NOT_FOUND");
    let alias = fresh("den");
    let unknown = set(&alice, &alias, "!unknown:localhost").await;
    unknown.fails(403, "M_FORBIDDEN");
    set(&bob, &alias, &room).await.fails(403, "M_FORBIDDEN");
    alice
        .put(&path(&alias), json!({}))
        .await
        .fails(400, "M_BAD_JSON");
}

#[tokio::test]
async fn one_of_two_rooms_gets_an_alias() {
    let cluster = shared().await;
    let alice = cluster.user("alice").await;
    for _ in 0..5 {
        let alias = fresh("race");
        let mut rooms = Vec::new();
        for _ in 0..4 {
            rooms.push(alice.create_room(json!({})).await);
        }
        let tries = rooms.iter().map(|room| set(&alice, &alias, room));
        let replies = futures_util::future::join_all(tries).await;
        let mut taken = 0;
        for reply in &replies {
            match reply.status {
                200 => taken += 1,
                _ => reply.fails(409, "M_UNKNOWN"),
            }
        }
        assert_eq!(taken, 1, "{replies:?}");
    }
}

#[tokio::test]
async fn who_may_take_an_alias_away() {
    let cluster = shared().await;
    let alice = cluster.user("alice").await;
    let (bob, carol) = (cluster.user("bob").await, cluster.user("carol").await);
    let room = alice.create_room(json!({"preset": "public_chat"})).await;
    for user in [&bob, &carol] {
        user.join(&room).await.ok();
    }
    let (of_alice, of_bob) = (fresh("alice"), fresh("bob"));
    set(&alice, &of_alice, &room).await.ok();
    set(&bob, &of_bob, &room).await.ok();
    delete(&bob, &of_alice).await.fails(403, "M_FORBIDDEN");
    delete(&carol, &of_bob).await.fails(403, "M_FORBIDDEN");
    let state = format!("/rooms/{}/state/m.room.canonical_alias", enc(&room));
    let content = json!({"alias": of_alice, "alt_aliases": [of_bob]});
    alice.put(&state, content).await.ok();
    // Its creator deletes it, but may not change what the room says of it.
    delete(&bob, &of_bob).await.ok();
    let left = canonical(&alice, &room).await;
    assert_eq!(left, json!({"alias": of_alice, "alt_aliases": [of_bob]}));
    set(&bob, &of_bob, &room).await.ok();
    // Who may set the canonical alias deletes any, and the room no longer names it.
    delete(&alice, &of_bob).await.ok();
    let left = canonical(&alice, &room).await;
    assert_eq!(left, json!({"alias": of_alice, "alt_aliases": []}));
    delete(&alice, &of_alice).await.ok();
    assert_eq!(canonical(&alice, &room).await, json!({"alt_aliases": []}));
}

#[tokio::test]
async fn the_list_of_aliases_is_for_who_is_inside() {
    let cluster = shared().await;
    let (alice, bob) = (cluster.user("alice").await, cluster.user("bob").await);
    let room = alice.create_room(json!({"preset": "public_chat"})).await;
    let alias = fresh("den");
    set(&alice, &alias, &room).await.ok();
    let list = format!("/rooms/{}/aliases", enc(&room));
    bob.get(&list).await.fails(403, "M_FORBIDDEN");
    bob.join(&room).await.ok();
    assert_eq!(aliases(&bob, &room).await, json!([alias]));
    let leave = format!("/rooms/{}/leave", enc(&room));
    bob.post(&leave, json!({})).await.ok();
    bob.get(&list).await.fails(403, "M_FORBIDDEN");
    let visibility = format!("/rooms/{}/state/m.room.history_visibility", enc(&room));
    let all = json!({"history_visibility": "world_readable"});
    alice.put(&visibility, all).await.ok();
    assert_eq!(aliases(&bob, &room).await, json!([alias]));
}
