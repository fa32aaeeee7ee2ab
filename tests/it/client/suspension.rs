//! Client-server API, "Account suspension".

use reqwest::Method;
use serde_json::{Value, json};

use super::locking::{administrator, set};
use crate::sandbox::shared;
use crate::user::{PASSWORD, Reply, User, enc};

fn refused(reply: &Reply) {
    reply.fails(403, "M_USER_SUSPENDED");
}

/// No typing and no status; but to read is to move receipts.
async fn shows_nothing(alice: &User, room: &str, event: &str) {
    let path = format!("/rooms/{}/typing/{}", enc(room), enc(&alice.id));
    refused(
        &alice
            .put(&path, json!({"typing": true, "timeout": 1000}))
            .await,
    );
    let path = format!("/presence/{}/status", enc(&alice.id));
    let status = json!({"presence": "online", "status_msg": "still here"});
    refused(&alice.put(&path, status).await);
    for kind in ["m.read", "m.read.private"] {
        let path = format!("/rooms/{}/receipt/{kind}/{}", enc(room), enc(event));
        alice.post(&path, json!({})).await.ok();
    }
}

async fn changes_nothing(alice: &User, own_room: &str, levels: &Value) {
    let path = format!("/profile/{}/displayname", enc(&alice.id));
    refused(&alice.put(&path, json!({"displayname": "A"})).await);
    refused(&alice.call(Method::DELETE, &path, None).await);
    let path = format!("/rooms/{}/state/m.room.power_levels", enc(own_room));
    refused(&alice.put(&path, levels.clone()).await);
    refused(&alice.post("/createRoom", json!({})).await);
}

#[tokio::test]
async fn a_suspended_account_reads_and_leaves() {
    let cluster = shared().await;
    let admin = administrator(cluster).await;
    let alice = cluster.user("alice").await;
    let bob = cluster.user("bob").await;
    let room = bob.create_room(json!({"preset": "public_chat"})).await;
    let other = bob.create_room(json!({"preset": "public_chat"})).await;
    let invited = bob.create_room(json!({"invite": [alice.id]})).await;
    alice.join(&room).await.ok();
    let levels = json!({"users": {alice.id.as_str(): 100, bob.id.as_str(): 100}});
    let own_room = alice.create_room(json!({})).await;
    let mine = alice.say(&room, "mine").await;
    let second = alice.say(&room, "mine, too").await;
    let others = bob.say(&room, "his").await;
    for reader in cluster.readers() {
        alice.at(&reader).get("/account/whoami").await.ok();
    }
    let done = set(&admin, "suspend", "suspended", &alice.id, true).await;
    assert_eq!(done.ok(), json!({"suspended": true}));
    for reader in cluster.readers() {
        let alice = alice.at(&reader);
        refused(&alice.send(&room, "t", "hello").await);
        refused(&alice.join(&other).await);
        let path = format!("/rooms/{}/join", enc(&invited));
        refused(&alice.post(&path, json!({})).await);
        refused(
            &alice
                .post(&format!("/knock/{}", enc(&other)), json!({}))
                .await,
        );
        let invite = json!({"user_id": bob.id});
        let path = format!("/rooms/{}/invite", enc(&own_room));
        refused(&alice.post(&path, invite.clone()).await);
        for act in ["kick", "ban", "unban"] {
            let path = format!("/rooms/{}/{act}", enc(&own_room));
            refused(&alice.post(&path, invite.clone()).await);
        }
        changes_nothing(&alice, &own_room, &levels).await;
        shows_nothing(&alice, &room, &others).await;
        // Own events, and no others, whatever one's power.
        let path = format!("/rooms/{}/redact/{}/t", enc(&room), enc(&others));
        refused(&alice.put(&path, json!({})).await);
        let path = format!("/rooms/{}/send/m.room.redaction/t2", enc(&room));
        refused(&alice.put(&path, json!({"redacts": others})).await);
    }
    let path = format!("/rooms/{}/redact/{}/t3", enc(&room), enc(&mine));
    alice.put(&path, json!({})).await.ok();
    let path = format!("/rooms/{}/send/m.room.redaction/t4", enc(&room));
    alice.put(&path, json!({"redacts": second})).await.ok();
    alice.sync(None, "").await;
    let path = format!("/rooms/{}/messages?dir=b", enc(&room));
    alice.get(&path).await.ok();
    let phone = User::login(cluster.url(), &alice.id).await;
    refused(&phone.send(&room, "p", "hello").await);
    phone.post("/logout", json!({})).await.ok();
    for left in [&invited, &room] {
        let path = format!("/rooms/{}/leave", enc(left));
        alice.post(&path, json!({})).await.ok();
    }
    set(&admin, "suspend", "suspended", &alice.id, false)
        .await
        .ok();
    alice.join(&other).await.ok();
    alice.say(&other, "back").await;
    // One may go while suspended.
    set(&admin, "suspend", "suspended", &alice.id, true)
        .await
        .ok();
    deactivate(&alice).await;
}

async fn deactivate(alice: &User) {
    let auth = json!({
        "type": "m.login.password", "password": PASSWORD,
        "identifier": {"type": "m.id.user", "user": alice.id},
    });
    alice
        .post("/account/deactivate", json!({"auth": auth}))
        .await
        .ok();
}
