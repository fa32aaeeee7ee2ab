//! Client-server API, "Room summaries".

use reqwest::Method;
use serde_json::json;

use super::aliases;
use crate::sandbox::shared;
use crate::user::{Reply, User, enc, request};

async fn summary(user: &User, room: &str) -> Reply {
    ask(&user.url, room, Some(&user.token)).await
}

async fn ask(url: &str, room: &str, token: Option<&str>) -> Reply {
    let path = format!("/_matrix/client/v1/room_summary/{}", enc(room));
    request(Method::GET, url, &path, token, None).await
}

#[tokio::test]
async fn a_public_room_is_told_of_to_all() {
    let cluster = shared().await;
    let (alice, bob) = (cluster.user("alice").await, cluster.user("bob").await);
    let state = json!([
        {"type": "m.room.encryption", "content": {"algorithm": "m.megolm.v1.aes-sha2"}},
    ]);
    let body = json!({
        "preset": "public_chat", "name": "Square", "topic": "all", "initial_state": state,
        "room_version": "11",
    });
    let room = alice.create_room(body).await;
    let alias = aliases::fresh("square");
    aliases::set(&alice, &alias, &room).await.ok();
    let mut told = json!({
        "room_id": room, "name": "Square", "topic": "all", "num_joined_members": 1,
        "world_readable": false, "guest_can_join": false, "join_rule": "public",
        "encryption": "m.megolm.v1.aes-sha2", "room_version": "11",
    });
    assert_eq!(ask(cluster.url(), &alias, None).await.ok(), told);
    ask(cluster.url(), &alias, Some("nonsense"))
        .await
        .fails(401, "M_UNKNOWN_TOKEN");
    for (user, membership) in [(&alice, "join"), (&bob, "leave")] {
        told["membership"] = json!(membership);
        assert_eq!(summary(user, &room).await.ok(), told);
    }
}

#[tokio::test]
async fn a_closed_room_is_told_of_to_who_may_know_it() {
    let cluster = shared().await;
    let alice = cluster.user("alice").await;
    let (bob, carol) = (cluster.user("bob").await, cluster.user("carol").await);
    let room = alice.create_room(json!({"preset": "private_chat"})).await;
    ask(cluster.url(), &room, None)
        .await
        .fails(404, "M_NOT_FOUND");
    summary(&bob, &room).await.fails(404, "M_NOT_FOUND");
    let path = format!("/rooms/{}/invite", enc(&room));
    alice.post(&path, json!({"user_id": bob.id})).await.ok();
    let told = summary(&bob, &room).await.ok();
    assert_eq!(told["membership"], "invite");
    assert_eq!(told["join_rule"], "invite");
    let hall = alice.create_room(json!({"preset": "public_chat"})).await;
    let rule = json!({
        "join_rule": "restricted", "allow": [{"type": "m.room_membership", "room_id": hall}],
    });
    let path = format!("/rooms/{}/state/m.room.join_rules", enc(&room));
    alice.put(&path, rule).await.ok();
    summary(&carol, &room).await.fails(404, "M_NOT_FOUND");
    carol.join(&hall).await.ok();
    let told = summary(&carol, &room).await.ok();
    assert_eq!(told["allowed_room_ids"], json!([hall]));
    ask(cluster.url(), &room, None)
        .await
        .fails(404, "M_NOT_FOUND");
    let path = format!("/rooms/{}/state/m.room.history_visibility", enc(&room));
    let all = json!({"history_visibility": "world_readable"});
    alice.put(&path, all).await.ok();
    let told = ask(cluster.url(), &room, None).await.ok();
    assert_eq!(told["world_readable"], true);
    for unknown in [
        "!unknown:localhost",
        "#no-such-room:localhost",
        "#x:example.org",
    ] {
        summary(&bob, unknown).await.fails(404, "M_NOT_FOUND");
    }
    summary(&bob, "nonsense")
        .await
        .fails(400, "M_INVALID_PARAM");
}
