//! Client-server API, "Room membership".

use serde_json::{Value, json};

use crate::sandbox::{Shared, shared};
use crate::user::{Reply, User, enc};

async fn act(user: &User, room: &str, action: &str, target: &User) -> Reply {
    let path = format!("/rooms/{}/{action}", enc(room));
    user.post(&path, json!({"user_id": target.id, "reason": "because"}))
        .await
}

async fn leave(user: &User, room: &str) -> Reply {
    user.post(&format!("/rooms/{}/leave", enc(room)), json!({}))
        .await
}

async fn member(witness: &User, room: &str, user: &User) -> Value {
    let path = format!("/rooms/{}/state/m.room.member/{}", enc(room), enc(&user.id));
    witness.get(&path).await.ok()
}

async fn three(cluster: &Shared) -> (User, User, User) {
    (
        cluster.user("alice").await,
        cluster.user("bob").await,
        cluster.user("carol").await,
    )
}

#[tokio::test]
async fn an_invitation_is_taken_or_declined() {
    let cluster = shared().await;
    let (alice, bob, carol) = three(cluster).await;
    let room = alice.create_room(json!({"preset": "private_chat"})).await;
    bob.join(&room).await.fails(403, "M_FORBIDDEN");
    for user in [&bob, &carol] {
        act(&alice, &room, "invite", user).await.ok();
    }
    assert_eq!(member(&alice, &room, &bob).await["reason"], "because");
    bob.join(&room).await.ok();
    act(&alice, &room, "invite", &bob)
        .await
        .fails(403, "M_FORBIDDEN");
    let before = carol.sync(None, "").await;
    leave(&carol, &room).await.ok();
    let declined = carol.sync(before["next_batch"].as_str(), "").await;
    assert!(declined["rooms"]["leave"][&room].is_object(), "{declined}");
    carol.join(&room).await.fails(403, "M_FORBIDDEN");
    assert_eq!(
        bob.get("/joined_rooms").await.ok()["joined_rooms"],
        json!([room])
    );
    assert_eq!(
        carol.get("/joined_rooms").await.ok()["joined_rooms"],
        json!([])
    );
}

#[tokio::test]
async fn kick_ban_and_unban() {
    let cluster = shared().await;
    let (alice, bob, carol) = three(cluster).await;
    let room = alice.create_room(json!({"preset": "public_chat"})).await;
    for user in [&bob, &carol] {
        user.join(&room).await.ok();
    }
    act(&bob, &room, "kick", &carol)
        .await
        .fails(403, "M_FORBIDDEN");
    let before = carol.sync(None, "").await;
    act(&alice, &room, "kick", &carol).await.ok();
    let kicked = carol.sync(before["next_batch"].as_str(), "").await;
    let events = &kicked["rooms"]["leave"][&room]["timeline"]["events"];
    assert_eq!(events[0]["content"]["reason"], "because", "{kicked}");
    // Of what comes after it she learns nothing; what is public she may enter again.
    alice.say(&room, "without her").await;
    let later = carol.sync(kicked["next_batch"].as_str(), "").await;
    assert!(later["rooms"].is_null(), "{later}");
    act(&alice, &room, "kick", &carol)
        .await
        .fails(403, "M_FORBIDDEN");
    carol.join(&room).await.ok();
    act(&alice, &room, "ban", &carol).await.ok();
    carol.join(&room).await.fails(403, "M_FORBIDDEN");
    act(&alice, &room, "invite", &carol)
        .await
        .fails(403, "M_FORBIDDEN");
    act(&bob, &room, "unban", &carol)
        .await
        .fails(403, "M_FORBIDDEN");
    act(&alice, &room, "unban", &carol).await.ok();
    act(&alice, &room, "unban", &carol)
        .await
        .fails(403, "M_FORBIDDEN");
    carol.join(&room).await.ok();
    assert_eq!(member(&bob, &room, &carol).await["membership"], "join");
    // To ban who was never there is fine.
    let dave = cluster.user("dave").await;
    act(&alice, &room, "ban", &dave).await.ok();
    dave.join(&room).await.fails(403, "M_FORBIDDEN");
}

#[tokio::test]
async fn a_restricted_room_lets_in_who_is_in_the_other() {
    let cluster = shared().await;
    let (alice, bob, carol) = three(cluster).await;
    let hall = alice.create_room(json!({"preset": "public_chat"})).await;
    for version in ["8", "10", "12"] {
        let rules = json!({
            "join_rule": "restricted", "allow": [{"type": "m.room_membership", "room_id": hall}],
        });
        let state = json!([{"type": "m.room.join_rules", "state_key": "", "content": rules}]);
        let room = alice
            .create_room(json!({
                "preset": "private_chat", "initial_state": state, "room_version": version,
            }))
            .await;
        bob.join(&hall).await.ok();
        bob.join(&room).await.ok();
        let content = member(&alice, &room, &bob).await;
        assert_eq!(
            content["join_authorised_via_users_server"], alice.id,
            "{content}"
        );
        carol.join(&room).await.fails(403, "M_FORBIDDEN");
        // Nobody vouches for themselves in another's name, nor for who is in already.
        let join = |name: &str, voucher: &str| json!({"membership": "join", "displayname": name, "join_authorised_via_users_server": voucher});
        let path = |user: &User| {
            format!(
                "/rooms/{}/state/m.room.member/{}",
                enc(&room),
                enc(&user.id)
            )
        };
        let reply = carol.put(&path(&carol), join("Carol", &alice.id)).await;
        reply.fails(403, "M_FORBIDDEN");
        bob.put(&path(&bob), join("Bobby", "unused")).await.ok();
        let content = member(&alice, &room, &bob).await;
        assert_eq!(
            content,
            json!({"membership": "join", "displayname": "Bobby"})
        );
    }
}

#[tokio::test]
async fn rooms_are_joined_by_alias() {
    let cluster = shared().await;
    let (alice, bob, _) = three(cluster).await;
    let name = format!("lounge-{:08x}", rand::random::<u32>());
    let body = json!({"preset": "public_chat", "room_alias_name": name, "name": "Lounge"});
    let room = alice.create_room(body.clone()).await;
    alice
        .post("/createRoom", body)
        .await
        .fails(400, "M_ROOM_IN_USE");
    let joined = bob.join(&format!("#{name}:localhost")).await.ok();
    assert_eq!(joined["room_id"], room);
    bob.join("#no-such-room:localhost")
        .await
        .fails(404, "M_NOT_FOUND");
    bob.join("nonsense").await.fails(400, "M_INVALID_PARAM");
    bob.join("!unknown:localhost")
        .await
        .fails(404, "M_NOT_FOUND");
}

#[tokio::test]
async fn who_left_sees_the_state_as_it_was() {
    let cluster = shared().await;
    let (alice, bob, carol) = three(cluster).await;
    let room = alice
        .create_room(json!({"preset": "public_chat", "topic": "before"}))
        .await;
    bob.join(&room).await.ok();
    leave(&bob, &room).await.ok();
    leave(&bob, &room).await.ok();
    let topic = format!("/rooms/{}/state/m.room.topic", enc(&room));
    alice.put(&topic, json!({"topic": "after"})).await.ok();
    carol.join(&room).await.ok();
    assert_eq!(bob.get(&topic).await.ok()["topic"], "before");
    let members = bob
        .get(&format!("/rooms/{}/members", enc(&room)))
        .await
        .ok();
    let ids: Vec<_> = members["chunk"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["state_key"].clone())
        .collect();
    assert!(!ids.contains(&json!(carol.id)), "{ids:?}");
    bob.get(&format!("/rooms/{}/joined_members", enc(&room)))
        .await
        .fails(403, "M_FORBIDDEN");
    bob.send(&room, "1", "?").await.fails(403, "M_FORBIDDEN");
    cluster
        .user("dave")
        .await
        .get(&topic)
        .await
        .fails(403, "M_FORBIDDEN");
}

#[tokio::test]
async fn members_now_and_then() {
    let cluster = shared().await;
    let (alice, bob, carol) = three(cluster).await;
    let room = alice.create_room(json!({"preset": "public_chat"})).await;
    bob.join(&room).await.ok();
    let then = alice.sync(None, "").await;
    let then = then["next_batch"].as_str().unwrap();
    carol.join(&room).await.ok();
    leave(&bob, &room).await.ok();
    let path = format!("/rooms/{}/members", enc(&room));
    let ids = |chunk: &Value| {
        let mut ids: Vec<String> = chunk["chunk"]
            .as_array()
            .unwrap()
            .iter()
            .map(|event| event["state_key"].as_str().unwrap().to_owned())
            .collect();
        ids.sort();
        ids
    };
    let list = |users: &[&User]| users.iter().map(|user| user.id.clone()).collect::<Vec<_>>();
    let sorted = |mut ids: Vec<String>| {
        ids.sort();
        ids
    };
    let get = async |query: &str| ids(&alice.get(&format!("{path}{query}")).await.ok());
    assert_eq!(get("").await, sorted(list(&[&alice, &bob, &carol])));
    assert_eq!(
        get("?membership=join").await,
        sorted(list(&[&alice, &carol]))
    );
    assert_eq!(get("?not_membership=join").await, list(&[&bob]));
    assert_eq!(
        get(&format!("?at={then}")).await,
        sorted(list(&[&alice, &bob]))
    );
    alice
        .get(&format!("{path}?at=nonsense"))
        .await
        .fails(400, "M_INVALID_PARAM");
}

#[tokio::test]
async fn who_may_not_invite_kick_or_ban() {
    let cluster = shared().await;
    let (alice, bob, carol) = three(cluster).await;
    let levels = json!({"invite": 50});
    let room = alice
        .create_room(json!({"preset": "public_chat", "power_level_content_override": levels}))
        .await;
    // From outside; then as a member without the power.
    for _ in 0..2 {
        for (action, target) in [
            ("invite", &carol),
            ("kick", &alice),
            ("ban", &alice),
            ("ban", &carol),
            ("unban", &carol),
        ] {
            act(&bob, &room, action, target)
                .await
                .fails(403, "M_FORBIDDEN");
        }
        bob.join(&room).await.ok();
    }
    // Nor is there anybody to kick or to let in again, whatever the power.
    for action in ["kick", "unban"] {
        act(&alice, &room, action, &carol)
            .await
            .fails(403, "M_FORBIDDEN");
    }
    let path = format!("/rooms/{}/invite", enc(&room));
    alice.post(&path, json!({})).await.fails(400, "M_BAD_JSON");
}

#[tokio::test]
async fn who_may_not_join() {
    let cluster = shared().await;
    let (alice, bob, carol) = three(cluster).await;
    let closed = alice.create_room(json!({"preset": "private_chat"})).await;
    let open = alice.create_room(json!({"preset": "public_chat"})).await;
    act(&alice, &open, "ban", &bob).await.ok();
    let by_id = async |user: &User, room: &str| {
        let path = format!("/rooms/{}/join", enc(room));
        user.post(&path, json!({})).await
    };
    for room in [&closed, &open] {
        by_id(&bob, room).await.fails(403, "M_FORBIDDEN");
        bob.join(room).await.fails(403, "M_FORBIDDEN");
    }
    let unknown = "!unknown:localhost";
    by_id(&carol, unknown).await.fails(404, "M_NOT_FOUND");
    by_id(&carol, "#alias:localhost")
        .await
        .fails(400, "M_INVALID_PARAM");
    assert_eq!(by_id(&carol, &open).await.ok(), json!({"room_id": open}));
}

#[tokio::test]
async fn nobody_is_invited_by_a_third_party_identifier() {
    let cluster = shared().await;
    let alice = cluster.user("alice").await;
    let room = alice.create_room(json!({})).await;
    let path = format!("/rooms/{}/invite", enc(&room));
    let mut body = json!({
        "id_server": "id.example", "id_access_token": "t", "medium": "email", "address": "a@b.c",
    });
    alice
        .post(&path, body.clone())
        .await
        .fails(403, "M_THREEPID_DENIED");
    body["address"].take();
    alice.post(&path, body).await.fails(400, "M_BAD_JSON");
}
