//! Client-server API, "Device management" and "User-Interactive Authentication API".

use reqwest::Method;
use serde_json::{Value, json};

use crate::sandbox::shared;
use crate::user::{PASSWORD, Reply, User, enc};

fn auth(user: &str, password: &str) -> Value {
    json!({
        "type": "m.login.password",
        "identifier": {"type": "m.id.user", "user": user},
        "password": password,
    })
}

async fn delete(user: &User, device: &str, body: Value) -> Reply {
    let path = format!("/devices/{}", enc(device));
    user.call(Method::DELETE, &path, Some(&body)).await
}

#[tokio::test]
async fn devices_are_listed_and_named() {
    let cluster = shared().await;
    let readers = cluster.readers();
    let alice = cluster.user("alice").await;
    let phone = User::login(cluster.url(), &alice.id).await;
    let other = cluster.user("other").await;
    let path = format!("/devices/{}", enc(&phone.device));
    let named = alice.put(&path, json!({"display_name": "Phone"})).await;
    assert_eq!(named.ok(), json!({}));
    for reader in &readers {
        let all = phone.at(reader).get("/devices").await.ok();
        let expected = json!({"devices": [
            {"device_id": alice.device},
            {"device_id": phone.device, "display_name": "Phone"},
        ]});
        assert_eq!(all, expected);
        let one = alice.at(reader).get(&path).await.ok();
        assert_eq!(one, expected["devices"][1]);
        other.at(reader).get(&path).await.fails(404, "M_NOT_FOUND");
    }
    alice.put(&path, json!({})).await.ok();
    assert_eq!(alice.get(&path).await.ok()["display_name"], "Phone");
    alice
        .put(&path, json!({"display_name": "Mobile"}))
        .await
        .ok();
    assert_eq!(phone.get(&path).await.ok()["display_name"], "Mobile");
    // Only application services make devices so.
    let wish = json!({"display_name": "x"});
    alice
        .put("/devices/UNKNOWN", wish.clone())
        .await
        .fails(404, "M_NOT_FOUND");
    other.put(&path, wish).await.fails(404, "M_NOT_FOUND");
    alice
        .put(&path, json!({"display_name": "x".repeat(300)}))
        .await
        .fails(400, "M_INVALID_PARAM");
    alice
        .put(&path, json!({"display_name": 5}))
        .await
        .fails(400, "M_BAD_JSON");
}

#[tokio::test]
async fn a_device_is_deleted_by_who_has_the_password() {
    let cluster = shared().await;
    let readers = cluster.readers();
    let alice = cluster.user("alice").await;
    let phone = User::login(cluster.url(), &alice.id).await;
    for reader in &readers {
        phone.at(reader).get("/account/whoami").await.ok();
    }
    let asked = delete(&alice, &phone.device, json!({})).await;
    assert_eq!(asked.status, 401);
    assert_eq!(
        asked.body["flows"],
        json!([{"stages": ["m.login.password"]}])
    );
    assert!(asked.body["errcode"].is_null(), "{}", asked.body);
    let session = asked.body["session"].clone();
    let with = |mut auth: Value| {
        auth["session"] = session.clone();
        json!({"auth": auth})
    };
    let wrong = delete(&alice, &phone.device, with(auth(&alice.id, "wrong"))).await;
    wrong.fails(401, "M_FORBIDDEN");
    assert_eq!(wrong.body["session"], session);
    // Another's name, with its password or a wrong one, is no attempt that could be repeated.
    let other = cluster.user("other").await;
    for (name, password) in [
        (other.id.as_str(), PASSWORD),
        (other.id.as_str(), "wrong"),
        ("@nobody:elsewhere.example", PASSWORD),
    ] {
        let refused = delete(&alice, &phone.device, with(auth(name, password))).await;
        refused.fails(403, "M_FORBIDDEN");
        assert!(refused.body["flows"].is_null(), "{}", refused.body);
    }
    phone.get("/account/whoami").await.ok();
    delete(
        &alice,
        &phone.device,
        with(json!({"type": "m.login.dummy"})),
    )
    .await
    .fails(401, "M_UNAUTHORIZED");
    let nameless = json!({"type": "m.login.password", "password": PASSWORD});
    delete(&alice, &phone.device, with(nameless))
        .await
        .fails(400, "M_BAD_JSON");
    // A session is for one act: not for another device, nor for another user.
    delete(&alice, &alice.device, with(auth(&alice.id, PASSWORD)))
        .await
        .fails(401, "M_UNAUTHORIZED");
    delete(&other, &phone.device, with(auth(&other.id, PASSWORD)))
        .await
        .fails(401, "M_UNAUTHORIZED");
    let unfinished = delete(&alice, &phone.device, with(json!({}))).await;
    assert_eq!(
        (unfinished.status, &unfinished.body["session"]),
        (401, &session)
    );
    phone.get("/account/whoami").await.ok();
    // Any instance goes on with the session.
    let last = alice.at(readers.last().unwrap());
    let done = delete(&last, &phone.device, with(auth(&alice.id, PASSWORD))).await;
    assert_eq!(done.ok(), json!({}));
    for reader in &readers {
        let refused = phone.at(reader).get("/account/whoami").await;
        refused.fails(401, "M_UNKNOWN_TOKEN");
        assert_eq!(refused.body["soft_logout"], false);
        let left = alice.at(reader).get("/devices").await.ok();
        assert_eq!(left, json!({"devices": [{"device_id": alice.device}]}));
    }
    // Gone already: the same answer. The deprecated form of the identifier is taken, too.
    let old = json!({"type": "m.login.password", "user": alice.id, "password": PASSWORD});
    delete(&alice, &phone.device, with(old)).await.ok();
    // Another user's device of the same name is not touched.
    let auth = auth(&other.id, PASSWORD);
    delete(&other, &alice.device, json!({"auth": auth}))
        .await
        .ok();
    alice.get("/account/whoami").await.ok();
}

#[tokio::test]
async fn many_devices_are_deleted_at_once() {
    let cluster = shared().await;
    let alice = cluster.user("alice").await;
    let mut others = Vec::new();
    for _ in 0..3 {
        others.push(User::login(cluster.url(), &alice.id).await);
    }
    let devices = json!([
        others[0].device,
        "UNKNOWN",
        others[1].device,
        others[0].device
    ]);
    let asked = alice
        .post("/delete_devices", json!({"devices": devices}))
        .await;
    assert_eq!(asked.status, 401);
    assert!(asked.body["session"].is_string());
    let mut auth = auth(&alice.id, PASSWORD);
    auth["session"] = asked.body["session"].clone();
    let body = json!({"devices": devices, "auth": auth});
    for _ in 0..2 {
        assert_eq!(
            alice.post("/delete_devices", body.clone()).await.ok(),
            json!({})
        );
    }
    for gone in others.iter().take(2) {
        gone.get("/account/whoami")
            .await
            .fails(401, "M_UNKNOWN_TOKEN");
    }
    others[2].get("/account/whoami").await.ok();
    let left = alice.get("/devices").await.ok();
    assert_eq!(left["devices"].as_array().unwrap().len(), 2, "{left}");
    alice
        .post("/delete_devices", json!({"auth": auth}))
        .await
        .fails(400, "M_BAD_JSON");
    // A device that comes back under its name has no old token.
    let login = json!({
        "type": "m.login.password",
        "identifier": {"type": "m.id.user", "user": alice.id},
        "password": PASSWORD,
        "device_id": others[0].device,
    });
    alice.post("/login", login).await.ok();
    others[0]
        .get("/account/whoami")
        .await
        .fails(401, "M_UNKNOWN_TOKEN");
}
