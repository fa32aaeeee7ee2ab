//! Client-server API, "Knocking on rooms".

use serde_json::{Value, json};

use super::aliases;
use crate::sandbox::shared;
use crate::user::{Reply, User, enc};

async fn knock(user: &User, room: &str) -> Reply {
    let path = format!("/knock/{}", enc(room));
    user.post(&path, json!({"reason": "let me in"})).await
}

async fn act(user: &User, room: &str, action: &str, target: &User) -> Reply {
    let path = format!("/rooms/{}/{action}", enc(room));
    user.post(&path, json!({"user_id": target.id})).await
}

async fn leave(user: &User, room: &str) -> Reply {
    user.post(&format!("/rooms/{}/leave", enc(room)), json!({}))
        .await
}

fn rules(rule: Value) -> Value {
    json!([{"type": "m.room.join_rules", "state_key": "", "content": rule}])
}

async fn room(user: &User, version: &str) -> String {
    user.create_room(json!({
        "name": "Behind the door", "room_version": version,
        "initial_state": rules(json!({"join_rule": "knock"})),
    }))
    .await
}

#[tokio::test]
async fn a_knock_is_heard_and_answered() {
    let cluster = shared().await;
    let readers = cluster.readers();
    let alice = cluster.user("alice").await.at(&readers[0]);
    let bob = cluster.user("bob").await.at(&readers[1]);
    for version in ["7", "9", "12"] {
        let room = room(&alice, version).await;
        let alias = aliases::fresh("door");
        aliases::set(&alice, &alias, &room).await.ok();
        let heard = alice.sync(None, "").await;
        let knocked = bob.sync(None, "").await;
        assert_eq!(knock(&bob, &alias).await.ok(), json!({"room_id": room}));
        // Both learn of it.
        let heard = alice.sync(heard["next_batch"].as_str(), "").await;
        let event = &heard["rooms"]["join"][&room]["timeline"]["events"][0];
        assert_eq!(event["content"]["membership"], "knock", "{heard}");
        assert_eq!(event["content"]["reason"], "let me in", "{heard}");
        let knocked = bob.sync(knocked["next_batch"].as_str(), "").await;
        let told = &knocked["rooms"]["knock"][&room]["knock_state"]["events"];
        let told = told.as_array().unwrap();
        let name = json!({"name": "Behind the door"});
        assert!(
            told.iter().any(|event| event["content"] == name),
            "{knocked}"
        );
        assert!(
            told.iter().any(|event| event["state_key"] == json!(bob.id)),
            "{knocked}"
        );
        // A knock lets nobody in.
        bob.join(&room).await.fails(403, "M_FORBIDDEN");
        bob.send(&room, "1", "?").await.fails(403, "M_FORBIDDEN");
        let messages = format!("/rooms/{}/messages?dir=b", enc(&room));
        bob.get(&messages).await.fails(403, "M_FORBIDDEN");
        act(&alice, &room, "invite", &bob).await.ok();
        knock(&bob, &room).await.fails(403, "M_FORBIDDEN");
        let invited = bob.sync(knocked["next_batch"].as_str(), "").await;
        assert!(invited["rooms"]["invite"][&room].is_object(), "{invited}");
        bob.join(&room).await.ok();
        knock(&bob, &room).await.fails(403, "M_FORBIDDEN");
    }
}

#[tokio::test]
async fn a_knock_is_turned_away_or_taken_back() {
    let cluster = shared().await;
    let (alice, bob) = (cluster.user("alice").await, cluster.user("bob").await);
    let room = room(&alice, "12").await;
    let since = bob.sync(None, "").await;
    for ending in ["kick", "leave"] {
        knock(&bob, &room).await.ok();
        let knocked = bob.sync(since["next_batch"].as_str(), "").await;
        assert!(knocked["rooms"]["knock"][&room].is_object(), "{knocked}");
        match ending {
            "leave" => leave(&bob, &room).await.ok(),
            _ => act(&alice, &room, ending, &bob).await.ok(),
        };
        let over = bob.sync(knocked["next_batch"].as_str(), "").await;
        assert!(over["rooms"]["leave"][&room].is_object(), "{over}");
    }
    act(&alice, &room, "ban", &bob).await.ok();
    knock(&bob, &room).await.fails(403, "M_FORBIDDEN");
}

#[tokio::test]
async fn where_nobody_may_knock() {
    let cluster = shared().await;
    let (alice, bob) = (cluster.user("alice").await, cluster.user("bob").await);
    for body in [
        json!({"preset": "private_chat"}),
        json!({"preset": "public_chat"}),
        json!({"room_version": "6", "initial_state": rules(json!({"join_rule": "knock"}))}),
    ] {
        let room = alice.create_room(body).await;
        knock(&bob, &room).await.fails(403, "M_FORBIDDEN");
    }
    for unknown in ["!unknown:localhost", "#no-such-room:localhost"] {
        knock(&bob, unknown).await.fails(404, "M_NOT_FOUND");
    }
    knock(&bob, "nonsense").await.fails(400, "M_INVALID_PARAM");
}

#[tokio::test]
async fn a_restricted_room_is_joined_from_inside_and_knocked_on_from_outside() {
    let cluster = shared().await;
    let alice = cluster.user("alice").await;
    let (bob, carol) = (cluster.user("bob").await, cluster.user("carol").await);
    let hall = alice.create_room(json!({"preset": "public_chat"})).await;
    bob.join(&hall).await.ok();
    let rule = json!({
        "join_rule": "knock_restricted",
        "allow": [{"type": "m.room_membership", "room_id": hall}],
    });
    let body = json!({"room_version": "10", "initial_state": rules(rule)});
    let room = alice.create_room(body).await;
    bob.join(&room).await.ok();
    carol.join(&room).await.fails(403, "M_FORBIDDEN");
    knock(&carol, &room).await.ok();
    act(&alice, &room, "invite", &carol).await.ok();
    carol.join(&room).await.ok();
}
