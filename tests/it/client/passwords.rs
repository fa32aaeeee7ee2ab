//! Client-server API, "Password management".

use serde_json::{Value, json};

use crate::sandbox::shared;
use crate::user::{PASSWORD, Reply, User};

const NEW: &str = "another battery staple";

fn auth(user: &User, password: &str) -> Value {
    json!({
        "type": "m.login.password",
        "identifier": {"type": "m.id.user", "user": user.id},
        "password": password,
    })
}

async fn login(user: &User, password: &str) -> Reply {
    user.post("/login", auth(user, password)).await
}

#[tokio::test]
async fn a_new_password_ends_all_other_devices() {
    let cluster = shared().await;
    let alice = cluster.user("alice").await;
    let phone = User::login(cluster.url(), &alice.id).await;
    for reader in cluster.readers() {
        phone.at(&reader).get("/account/whoami").await.ok();
    }
    let capabilities = alice.get("/capabilities").await.ok();
    assert_eq!(
        capabilities["capabilities"]["m.change_password"],
        json!({"enabled": true})
    );
    let asked = alice
        .post("/account/password", json!({"new_password": NEW}))
        .await;
    assert_eq!(asked.status, 401);
    assert_eq!(
        asked.body["flows"],
        json!([{"stages": ["m.login.password"]}])
    );
    let mut auth = auth(&alice, PASSWORD);
    auth["session"] = asked.body["session"].clone();
    let body = json!({"new_password": NEW, "auth": auth});
    let last = alice.at(cluster.readers().last().unwrap());
    let done = last.post("/account/password", body.clone()).await;
    assert_eq!(done.ok(), json!({}));
    for reader in cluster.readers() {
        phone
            .at(&reader)
            .get("/account/whoami")
            .await
            .fails(401, "M_UNKNOWN_TOKEN");
        alice.at(&reader).get("/account/whoami").await.ok();
        let alice = alice.at(&reader);
        login(&alice, PASSWORD).await.fails(403, "M_FORBIDDEN");
    }
    login(&alice, NEW).await.ok();
    let devices = alice.get("/devices").await.ok();
    assert_eq!(devices["devices"][0]["device_id"], alice.device);
    assert_eq!(devices["devices"].as_array().unwrap().len(), 2);
    // The old one authenticates nothing any more.
    alice
        .post("/account/password", body)
        .await
        .fails(401, "M_FORBIDDEN");
}

#[tokio::test]
async fn other_devices_may_stay() {
    let cluster = shared().await;
    let alice = cluster.user("alice").await;
    let phone = User::login(cluster.url(), &alice.id).await;
    let body = json!({
        "new_password": NEW, "logout_devices": false, "auth": auth(&alice, PASSWORD),
    });
    alice.post("/account/password", body).await.ok();
    phone.get("/account/whoami").await.ok();
    login(&phone, NEW).await.ok();
}

#[tokio::test]
async fn a_password_change_refuses() {
    let cluster = shared().await;
    let alice = cluster.user("alice").await;
    let with = |password: Value| json!({"new_password": password, "auth": auth(&alice, PASSWORD)});
    let change = async |body: Value| alice.post("/account/password", body).await;
    change(with(json!("short")))
        .await
        .fails(400, "M_WEAK_PASSWORD");
    change(with(json!("x".repeat(600))))
        .await
        .fails(400, "M_INVALID_PARAM");
    change(with(json!(5))).await.fails(400, "M_BAD_JSON");
    change(json!({"auth": auth(&alice, PASSWORD)}))
        .await
        .fails(400, "M_MISSING_PARAM");
    let wrong = json!({"new_password": NEW, "auth": auth(&alice, "wrong")});
    change(wrong).await.fails(401, "M_FORBIDDEN");
    let other = cluster.user("other").await;
    let others = json!({"new_password": NEW, "auth": auth(&other, PASSWORD)});
    change(others).await.fails(403, "M_FORBIDDEN");
    let email = json!({
        "type": "m.login.password",
        "identifier": {"type": "m.id.thirdparty", "medium": "email", "address": "a@b.c"},
        "password": PASSWORD,
    });
    let by_email = json!({"new_password": NEW, "auth": email});
    change(by_email).await.fails(401, "M_FORBIDDEN");
    login(&alice, PASSWORD).await.ok();
}
