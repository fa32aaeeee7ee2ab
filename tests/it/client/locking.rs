//! Client-server API, "Account locking" and "Server administration".

use reqwest::Method;
use serde_json::json;

use crate::sandbox::{Shared, shared, tool};
use crate::user::{PASSWORD, Reply, User, enc};

/// A user whom the operator has made an administrator.
pub(super) async fn administrator(cluster: &Shared) -> User {
    let admin = cluster.user("admin").await;
    // Instances that know the token as another's must learn of it, too.
    for reader in cluster.readers() {
        let admin = admin.at(&reader);
        admin.get("/account/whoami").await.ok();
    }
    tool(&cluster.cluster, &["users", "make-admin", &admin.id]);
    admin
}

pub(super) async fn set(admin: &User, what: &str, flag: &str, user: &str, value: bool) -> Reply {
    let path = format!("/admin/{what}/{}", enc(user));
    admin
        .call_v1(Method::PUT, &path, &json!({flag: value}))
        .await
}

async fn lock(admin: &User, user: &str, locked: bool) -> Reply {
    set(admin, "lock", "locked", user, locked).await
}

fn is_locked(reply: &Reply) {
    reply.fails(401, "M_USER_LOCKED");
    assert_eq!(reply.body["soft_logout"], true, "{}", reply.body);
}

#[tokio::test]
async fn a_locked_account_can_only_log_out() {
    let cluster = shared().await;
    let admin = administrator(cluster).await;
    let alice = cluster.user("alice").await;
    let phone = User::login(cluster.url(), &alice.id).await;
    let room = alice.create_room(json!({})).await;
    for reader in cluster.readers() {
        alice.at(&reader).get("/account/whoami").await.ok();
    }
    let refreshed = json!({
        "type": "m.login.password", "password": PASSWORD, "refresh_token": true,
        "identifier": {"type": "m.id.user", "user": alice.id},
    });
    let pair = alice.post("/login", refreshed).await.ok();
    let done = lock(&admin.at(&cluster.readers()[0]), &alice.id, true).await;
    assert_eq!(done.ok(), json!({"locked": true}));
    for reader in cluster.readers() {
        let alice = alice.at(&reader);
        is_locked(&alice.get("/account/whoami").await);
        is_locked(&alice.get("/sync").await);
        is_locked(&alice.send(&room, "t", "hello").await);
        is_locked(&alice.post("/publicRooms", json!({})).await);
        is_locked(&alice.get_v1(&format!("/room_summary/{}", enc(&room))).await);
        let path = format!("/admin/lock/{}", enc(&alice.id));
        let told = admin.at(&reader).get_v1(&path).await.ok();
        assert_eq!(told, json!({"locked": true}));
    }
    // Neither a new session nor a new token; a wrong password says nothing about the lock.
    let login = |password: &str| {
        json!({
            "type": "m.login.password", "password": password,
            "identifier": {"type": "m.id.user", "user": alice.id},
        })
    };
    is_locked(&alice.post("/login", login(PASSWORD)).await);
    alice
        .post("/login", login("wrong"))
        .await
        .fails(403, "M_FORBIDDEN");
    let refresh = json!({"refresh_token": pair["refresh_token"]});
    is_locked(&alice.post("/refresh", refresh.clone()).await);
    // Logging out is served, and the tokens that are left come back with the account.
    phone.post("/logout", json!({})).await.ok();
    phone
        .get("/account/whoami")
        .await
        .fails(401, "M_UNKNOWN_TOKEN");
    lock(&admin, &alice.id, false).await.ok();
    for reader in cluster.readers() {
        alice.at(&reader).get("/account/whoami").await.ok();
    }
    alice.post("/refresh", refresh).await.ok();
    lock(&admin, &alice.id, true).await.ok();
    alice.post("/logout/all", json!({})).await.ok();
    alice
        .get("/account/whoami")
        .await
        .fails(401, "M_UNKNOWN_TOKEN");
}

#[tokio::test]
async fn administrators_and_nobody_else() {
    let cluster = shared().await;
    let admin = administrator(cluster).await;
    let other = administrator(cluster).await;
    let alice = cluster.user("alice").await;
    let moderation = json!({"suspend": true, "lock": true});
    let told = async |user: &User| {
        let capabilities = user.get("/capabilities").await.ok();
        capabilities["capabilities"]["m.account_moderation"].clone()
    };
    assert_eq!(told(&admin).await, moderation);
    assert!(told(&alice).await.is_null());
    for (what, flag) in [("lock", "locked"), ("suspend", "suspended")] {
        let get =
            async |by: &User, user: &str| by.get_v1(&format!("/admin/{what}/{}", enc(user))).await;
        // Before anything is looked up.
        for user in [&*alice.id, "@nobody:localhost", "@alice:elsewhere"] {
            get(&alice, user).await.fails(403, "M_FORBIDDEN");
            set(&alice, what, flag, user, true)
                .await
                .fails(403, "M_FORBIDDEN");
        }
        assert_eq!(get(&admin, &alice.id).await.ok(), json!({flag: false}));
        for (user, status, code) in [
            ("@alice:elsewhere", 400, "M_INVALID_PARAM"),
            ("@nobody:localhost", 404, "M_NOT_FOUND"),
            (&other.id, 403, "M_FORBIDDEN"),
        ] {
            get(&admin, user).await.fails(status, code);
            set(&admin, what, flag, user, true)
                .await
                .fails(status, code);
        }
        set(&admin, what, flag, &admin.id, true)
            .await
            .fails(403, "M_FORBIDDEN");
        let path = format!("/admin/{what}/{}", enc(&alice.id));
        let empty = admin.call_v1(Method::PUT, &path, &json!({})).await;
        empty.fails(400, "M_BAD_JSON");
    }
    let gone = cluster.user("gone").await;
    let auth = json!({
        "type": "m.login.password", "password": PASSWORD,
        "identifier": {"type": "m.id.user", "user": gone.id},
    });
    gone.post("/account/deactivate", json!({"auth": auth}))
        .await
        .ok();
    for (what, flag) in [("lock", "locked"), ("suspend", "suspended")] {
        set(&admin, what, flag, &gone.id, true)
            .await
            .fails(404, "M_NOT_FOUND");
        let path = format!("/admin/{what}/{}", enc(&gone.id));
        admin.get_v1(&path).await.fails(404, "M_NOT_FOUND");
    }
    // The operator has power over administrators.
    tool(&cluster.cluster, &["users", "lock", &other.id]);
    is_locked(&other.get("/account/whoami").await);
    let listed = tool(&cluster.cluster, &["users", "list"]);
    let line = listed
        .lines()
        .find(|line| line.starts_with(&other.id))
        .unwrap();
    assert!(line.ends_with("administrator, locked"), "{line}");
    tool(&cluster.cluster, &["users", "unlock", &other.id]);
    tool(&cluster.cluster, &["users", "revoke-admin", &other.id]);
    assert!(told(&other).await.is_null());
    lock(&other, &alice.id, true)
        .await
        .fails(403, "M_FORBIDDEN");
}
