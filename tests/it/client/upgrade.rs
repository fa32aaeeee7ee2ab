//! Client-server API, "Room Upgrades".

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::aliases;
use crate::sandbox::{connect, eventually, shared};
use crate::user::{Reply, User, enc};

async fn upgrade(user: &User, room: &str, body: Value) -> Reply {
    user.post(&format!("/rooms/{}/upgrade", enc(room)), body)
        .await
}

async fn state(user: &User, room: &str, event_type: &str) -> Value {
    let path = format!("/rooms/{}/state/{event_type}", enc(room));
    user.get(&path).await.ok()
}

fn replacement(reply: Reply) -> String {
    let body = reply.ok();
    body["replacement_room"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn every_version_is_upgraded_to_the_newest() {
    let cluster = shared().await;
    let (alice, bob) = (cluster.user("alice").await, cluster.user("bob").await);
    for version in ["3", "4", "5", "6", "7", "8", "9", "10", "11", "12"] {
        let old = alice
            .create_room(json!({"room_version": version, "name": "Attic", "topic": "dust"}))
            .await;
        let body = json!({"new_version": "12", "additional_creators": [bob.id]});
        let new = replacement(upgrade(&alice, &old, body).await);
        let create = state(&alice, &new, "m.room.create").await;
        assert_eq!(create["room_version"], "12");
        assert_eq!(create["predecessor"]["room_id"], old);
        assert_eq!(create["additional_creators"], json!([bob.id]));
        assert_eq!(state(&alice, &new, "m.room.name").await["name"], "Attic");
        assert_eq!(state(&alice, &new, "m.room.topic").await["topic"], "dust");
        let levels = state(&alice, &new, "m.room.power_levels").await;
        assert_eq!(levels["users"], json!({}), "{levels}");
        assert_eq!(levels["events"]["m.room.encryption"], 100);
        let tombstone = state(&alice, &old, "m.room.tombstone").await;
        assert_eq!(tombstone["replacement_room"], new);
        assert!(tombstone["body"].is_string());
        alice.say(&new, "here").await;
    }
}

/// The aliases and the place in the directory are the new room's.
async fn have_moved(user: &User, names: &[String], (old, new): (&str, &str)) {
    assert_eq!(aliases::aliases(user, old).await, json!([]));
    assert_eq!(aliases::aliases(user, new).await, json!(names));
    for (room, visibility) in [(old, "private"), (new, "public")] {
        let path = format!("/directory/list/room/{}", enc(room));
        assert_eq!(user.get(&path).await.ok()["visibility"], visibility);
    }
}

#[tokio::test]
async fn what_goes_over_and_what_stays() {
    let cluster = shared().await;
    let readers = cluster.readers();
    let alice = cluster.user("alice").await.at(&readers[0]);
    let (bob, eve) = (cluster.user("bob").await, cluster.user("eve").await);
    let initial = json!([
        {"type": "m.room.encryption", "content": {"algorithm": "m.megolm.v1.aes-sha2"}},
        {"type": "m.room.server_acl", "content": {"allow": ["*"]}},
        {"type": "m.room.avatar", "content": {"url": "mxc://localhost/abc"}},
        {"type": "m.room.history_visibility", "content": {"history_visibility": "joined"}},
        {"type": "org.example.own", "content": {"a": 1}},
    ]);
    let word = format!("attic{:08x}", rand::random::<u32>());
    let body = json!({
        "visibility": "public", "room_version": "10", "initial_state": initial,
        "creation_content": {"type": "m.space", "m.federate": false}, "room_alias_name": word,
        "name": word,
    });
    let old = alice.create_room(body).await;
    let alt = aliases::fresh("alt");
    aliases::set(&alice, &alt, &old).await.ok();
    let alias = format!("#{word}:localhost");
    let canonical = json!({"alias": alias, "alt_aliases": [alt]});
    let path = |event_type: &str| format!("/rooms/{}/state/{event_type}", enc(&old));
    alice
        .put(&path("m.room.canonical_alias"), canonical.clone())
        .await
        .ok();
    bob.join(&old).await.ok();
    let mut levels = state(&alice, &old, "m.room.power_levels").await;
    levels["users"][&bob.id] = json!(50);
    alice.put(&path("m.room.power_levels"), levels).await.ok();
    let ban = format!("/rooms/{}/ban", enc(&old));
    let body = json!({"user_id": eve.id, "reason": "spam"});
    alice.post(&ban, body).await.ok();
    let new = replacement(upgrade(&alice, &old, json!({"new_version": "11"})).await);
    for event_type in [
        "m.room.encryption",
        "m.room.server_acl",
        "m.room.avatar",
        "m.room.history_visibility",
        "m.room.guest_access",
        "m.room.join_rules",
    ] {
        let before = state(&alice, &old, event_type).await;
        assert_eq!(
            state(&alice, &new, event_type).await,
            before,
            "{event_type}"
        );
    }
    let create = state(&alice, &new, "m.room.create").await;
    assert_eq!(create["type"], "m.space");
    assert_eq!(create["m.federate"], false);
    let own = format!("/rooms/{}/state/org.example.own", enc(&new));
    alice.get(&own).await.fails(404, "M_NOT_FOUND");
    let levels = state(&alice, &new, "m.room.power_levels").await;
    assert_eq!(levels["users"], json!({&alice.id: 100, &bob.id: 50}));
    let banned = state(&alice, &new, &format!("m.room.member/{}", enc(&eve.id))).await;
    assert_eq!(banned, json!({"membership": "ban", "reason": "spam"}));
    eve.join(&new).await.fails(403, "M_FORBIDDEN");
    let mut both = [alias.clone(), alt.clone()];
    both.sort();
    for reader in &readers {
        have_moved(&alice.at(reader), &both, (&old, &new)).await;
    }
    for (room, aliases) in [(&new, canonical), (&old, json!({}))] {
        assert_eq!(state(&alice, room, "m.room.canonical_alias").await, aliases);
    }
    assert_eq!(bob.join(&alias).await.ok()["room_id"], new);
    // The old room is quiet.
    let levels = state(&alice, &old, "m.room.power_levels").await;
    assert_eq!(
        (&levels["events_default"], &levels["invite"]),
        (&json!(50), &json!(50))
    );
    let carol = cluster.user("carol").await;
    carol.join(&old).await.ok();
    carol.send(&old, "1", "?").await.fails(403, "M_FORBIDDEN");
    // An alias that has moved is the new room's to take away.
    let path = format!("/directory/room/{}", enc(&alt));
    alice.call(Method::DELETE, &path, None).await.ok();
    assert_eq!(aliases::aliases(&alice, &new).await, json!([alias]));
}

#[tokio::test]
async fn a_repeated_request_finds_the_same_room() {
    let cluster = shared().await;
    let readers = cluster.readers();
    let alice = cluster.user("alice").await;
    for version in ["11", "12"] {
        let old = alice.create_room(json!({"room_version": "10"})).await;
        let body = json!({"new_version": version});
        // At the same time, on all instances, and later.
        let users: Vec<User> = readers.iter().map(|reader| alice.at(reader)).collect();
        let tries = users.iter().map(|user| upgrade(user, &old, body.clone()));
        let replies = futures_util::future::join_all(tries).await;
        let mut rooms: Vec<String> = replies.into_iter().map(replacement).collect();
        rooms.push(replacement(upgrade(&alice, &old, body).await));
        rooms.dedup();
        assert_eq!(rooms.len(), 1, "{rooms:?}");
        let tombstone = state(&alice, &old, "m.room.tombstone").await;
        assert_eq!(tombstone["replacement_room"], rooms[0]);
    }
}

#[tokio::test]
async fn who_may_not_upgrade_and_to_what() {
    let cluster = shared().await;
    let (alice, bob) = (cluster.user("alice").await, cluster.user("bob").await);
    let room = alice.create_room(json!({"preset": "public_chat"})).await;
    let body = json!({"new_version": "12"});
    upgrade(&bob, &room, body.clone())
        .await
        .fails(403, "M_FORBIDDEN");
    bob.join(&room).await.ok();
    upgrade(&bob, &room, body.clone())
        .await
        .fails(403, "M_FORBIDDEN");
    upgrade(&alice, "!unknown:localhost", body)
        .await
        .fails(403, "M_FORBIDDEN");
    upgrade(&alice, &room, json!({"new_version": "99"}))
        .await
        .fails(400, "M_UNSUPPORTED_ROOM_VERSION");
    upgrade(&alice, &room, json!({}))
        .await
        .fails(400, "M_BAD_JSON");
    let tombstone = format!("/rooms/{}/state/m.room.tombstone", enc(&room));
    alice.get(&tombstone).await.fails(404, "M_NOT_FOUND");
}

#[tokio::test]
async fn to_an_older_version_the_creator_keeps_the_power() {
    let cluster = shared().await;
    let alice = cluster.user("alice").await;
    let old = alice.create_room(json!({"room_version": "12"})).await;
    let body = json!({"new_version": "11", "additional_creators": ["@bob:localhost"]});
    let new = replacement(upgrade(&alice, &old, body).await);
    let create = state(&alice, &new, "m.room.create").await;
    assert!(create["additional_creators"].is_null(), "{create}");
    let levels = state(&alice, &new, "m.room.power_levels").await;
    assert_eq!(levels["users"], json!({&alice.id: 150}), "{levels}");
    let name = format!("/rooms/{}/state/m.room.name", enc(&new));
    alice.put(&name, json!({"name": "down"})).await.ok();
}

/// One piece of account data, global or of a room.
async fn data(user: &User, path: &str) -> Value {
    let path = format!("/user/{}/{path}", enc(&user.id));
    let reply = user.get(&path).await;
    if reply.status == 404 {
        return Value::Null;
    }
    reply.ok()
}

#[tokio::test]
async fn tags_and_direct_rooms_go_with_who_comes_along() {
    let cluster = shared().await;
    let readers = cluster.readers();
    let (alice, bob) = (cluster.user("alice").await, cluster.user("bob").await);
    let eve = cluster.user("eve").await;
    let old = alice.create_room(json!({"preset": "public_chat"})).await;
    bob.join(&old).await.ok();
    let tag = async |user: &User, room: &str, tag: &str, content: Value| {
        let path = format!("/user/{}/rooms/{}/tags/{tag}", enc(&user.id), enc(room));
        user.put(&path, content).await.ok();
    };
    for user in [&alice, &bob, &eve] {
        tag(user, &old, "m.favourite", json!({"order": 0.25})).await;
        let direct = format!("/user/{}/account_data/m.direct", enc(&user.id));
        let content = json!({"@x:localhost": [old], "@y:localhost": ["!y:localhost"]});
        user.put(&direct, content).await.ok();
    }
    let new = replacement(upgrade(&alice, &old, json!({"new_version": "12"})).await);
    tag(&bob, &new, "u.own", json!({})).await;
    tag(&bob, &new, "m.favourite", json!({"order": 0.75})).await;
    bob.at(&readers[readers.len() - 1]).join(&new).await.ok();
    // Who was not in the old room has nothing to bring.
    eve.join(&new).await.ok();
    // Nor does anybody bring it into what only says of itself that it replaces the room.
    let creation = json!({"predecessor": {"room_id": old, "event_id": "$x"}});
    let body = json!({"preset": "public_chat", "creation_content": creation});
    let posing = eve.create_room(body).await;
    bob.join(&posing).await.ok();
    let tags = async |user: &User, room: &str| {
        data(user, &format!("rooms/{}/account_data/m.tag", enc(room))).await["tags"].clone()
    };
    let told = json!({"m.favourite": {"order": 0.25}});
    for (user, wanted) in [
        (&alice, told.clone()),
        (&bob, json!({"u.own": {}, "m.favourite": {"order": 0.75}})),
    ] {
        let direct = json!({"@x:localhost": [old, new], "@y:localhost": ["!y:localhost"]});
        let carried = async || {
            data(user, "account_data/m.direct").await == direct && tags(user, &new).await == wanted
        };
        assert!(
            eventually(Duration::from_secs(20), carried).await,
            "{} {}",
            data(user, "account_data/m.direct").await,
            tags(user, &new).await,
        );
        assert_eq!(tags(user, &old).await, told, "the old room keeps its own");
    }
    assert_eq!(tags(&eve, &new).await, Value::Null);
    let db = connect(&cluster.facts.postgres.primary).await;
    let done = async || {
        let jobs = "SELECT count(*) FROM jobs j JOIN users u USING (user_nid) WHERE u.user_id = $1";
        db.query_one(jobs, &[&bob.id])
            .await
            .unwrap()
            .get::<_, i64>(0)
            == 0
    };
    assert!(eventually(Duration::from_secs(20), done).await);
    assert_eq!(tags(&bob, &posing).await, Value::Null);
    let all = alice.sync(None, "").await;
    let events = &all["rooms"]["join"][&new]["account_data"]["events"];
    assert_eq!(events[0]["content"]["tags"], told, "{all}");
    // What is taken away stays so, whoever joins again.
    let path = format!(
        "/user/{}/rooms/{}/tags/m.favourite",
        enc(&alice.id),
        enc(&new)
    );
    alice.call(Method::DELETE, &path, None).await.ok();
    assert_eq!(tags(&alice, &new).await, json!({}));
}
