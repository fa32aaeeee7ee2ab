//! Client-server API, "Refreshing access tokens" and "Soft logout".

use std::time::Duration;

use ganglion_launcher::Role;
use reqwest::Method;
use serde_json::{Value, json};

use crate::sandbox::{Sandbox, shared};
use crate::user::{PASSWORD, Reply, User, request};

async fn post(url: &str, path: &str, body: Value) -> Reply {
    let path = format!("/_matrix/client/v3{path}");
    request(Method::POST, url, &path, None, Some(&body)).await
}

async fn refresh(url: &str, tokens: &Value) -> Reply {
    post(
        url,
        "/refresh",
        json!({"refresh_token": tokens["refresh_token"]}),
    )
    .await
}

/// A new device of a user, with a pair of tokens.
async fn login(url: &str, user: &User) -> Value {
    let body = json!({
        "type": "m.login.password",
        "identifier": {"type": "m.id.user", "user": user.id},
        "password": PASSWORD,
        "refresh_token": true,
    });
    post(url, "/login", body).await.ok()
}

async fn whoami(url: &str, tokens: &Value) -> Reply {
    let path = "/_matrix/client/v3/account/whoami";
    request(
        Method::GET,
        url,
        path,
        tokens["access_token"].as_str(),
        None,
    )
    .await
}

#[track_caller]
fn is_logged_out(reply: &Reply, soft: bool) {
    reply.fails(401, "M_UNKNOWN_TOKEN");
    assert_eq!(reply.body["soft_logout"], soft, "{}", reply.body);
}

#[tokio::test]
async fn only_who_asks_gets_a_refresh_token() {
    let cluster = shared().await;
    let auth = json!({"type": "m.login.dummy"});
    let body = json!({"password": PASSWORD, "auth": auth, "refresh_token": true});
    let made = post(cluster.url(), "/register", body).await.ok();
    assert_eq!(made["expires_in_ms"], 3_600_000);
    let token = made["refresh_token"].as_str().unwrap();
    assert_ne!(token, made["access_token"]);
    whoami(cluster.url(), &made).await.ok();
    let user = cluster.user("plain").await;
    let plain = json!({
        "type": "m.login.password",
        "identifier": {"type": "m.id.user", "user": user.id},
        "password": PASSWORD,
    });
    let plain = post(cluster.url(), "/login", plain).await.ok();
    assert!(plain["refresh_token"].is_null() && plain["expires_in_ms"].is_null());
    // A refresh token is no access token, nor the other way round.
    let swapped = json!({"access_token": token, "refresh_token": made["access_token"]});
    is_logged_out(&whoami(cluster.url(), &swapped).await, false);
    is_logged_out(&refresh(cluster.url(), &swapped).await, false);
    post(cluster.url(), "/refresh", json!({}))
        .await
        .fails(400, "M_BAD_JSON");
}

#[tokio::test]
async fn a_refresh_can_be_repeated_until_its_tokens_are_used() {
    let cluster = shared().await;
    let readers = cluster.readers();
    let user = cluster.user("refresh").await;
    let first = login(cluster.url(), &user).await;
    for reader in &readers {
        whoami(reader, &first).await.ok();
    }
    let lost = refresh(&readers[0], &first).await.ok();
    let second = refresh(readers.last().unwrap(), &first).await.ok();
    for key in ["access_token", "refresh_token"] {
        assert_ne!(first[key], second[key]);
        assert_ne!(lost[key], second[key]);
    }
    assert_eq!(second["expires_in_ms"], 3_600_000);
    // Nothing new is used yet: what the client has works. What never arrived does not.
    for reader in &readers {
        whoami(reader, &first).await.ok();
        is_logged_out(&whoami(reader, &lost).await, true);
        is_logged_out(&refresh(reader, &lost).await, true);
    }
    let me = whoami(readers.last().unwrap(), &second).await.ok();
    assert_eq!(me["device_id"], first["device_id"]);
    for reader in &readers {
        is_logged_out(&whoami(reader, &first).await, true);
        is_logged_out(&refresh(reader, &first).await, true);
        is_logged_out(&whoami(reader, &lost).await, true);
        is_logged_out(&refresh(reader, &lost).await, true);
        whoami(reader, &second).await.ok();
    }
    // The user's other device goes on.
    user.get("/account/whoami").await.ok();
}

#[tokio::test]
async fn the_use_of_the_new_refresh_token_ends_the_old_pair() {
    let cluster = shared().await;
    let readers = cluster.readers();
    let user = cluster.user("refresh").await;
    let mut tokens = vec![login(cluster.url(), &user).await];
    for round in 0..3 {
        let reader = &readers[round % readers.len()];
        let next = refresh(reader, tokens.last().unwrap()).await.ok();
        tokens.push(next);
    }
    // The last but one is in use, by its refresh token.
    for reader in &readers {
        whoami(reader, &tokens[2]).await.ok();
        is_logged_out(&whoami(reader, &tokens[1]).await, true);
        is_logged_out(&refresh(reader, &tokens[1]).await, true);
    }
    // Of many first uses at the same moment all are let in.
    let last = &tokens[3];
    let (one, two, three) = tokio::join!(
        whoami(&readers[0], last),
        whoami(readers.last().unwrap(), last),
        whoami(cluster.url(), last)
    );
    assert_eq!((one.status, two.status, three.status), (200, 200, 200));
    is_logged_out(&whoami(cluster.url(), &tokens[2]).await, true);
}

#[tokio::test]
async fn refresh_tokens_end_with_their_device() {
    let cluster = shared().await;
    let user = cluster.user("refresh").await;
    let first = login(cluster.url(), &user).await;
    let second = login(cluster.url(), &user).await;
    let next = refresh(cluster.url(), &first).await.ok();
    let out = |tokens: &Value| User {
        token: tokens["access_token"].as_str().unwrap().to_owned(),
        ..user.clone()
    };
    out(&first).post("/logout", json!({})).await.ok();
    for reader in cluster.readers() {
        for tokens in [&first, &next] {
            is_logged_out(&whoami(&reader, tokens).await, false);
            is_logged_out(&refresh(&reader, tokens).await, false);
        }
    }
    let again = json!({
        "type": "m.login.password",
        "identifier": {"type": "m.id.user", "user": user.id},
        "password": PASSWORD,
        "device_id": second["device_id"],
    });
    post(cluster.url(), "/login", again).await.ok();
    is_logged_out(&refresh(cluster.url(), &second).await, false);
}

#[tokio::test]
async fn an_expired_token_is_a_soft_logout() {
    let sandbox = Sandbox::start_with("refresh", |options| {
        let lifetime = ("accounts.access_token_lifetime_ms", "1500");
        options
            .settings
            .push((lifetime.0.to_owned(), lifetime.1.to_owned()));
        options.counts.insert(Role::EventPersister, 1);
    })
    .await;
    let user = sandbox.user("expiry").await;
    let first = login(&sandbox.url(), &user).await;
    assert_eq!(first["expires_in_ms"], 1_500);
    whoami(&sandbox.url(), &first).await.ok();
    tokio::time::sleep(Duration::from_millis(1_600)).await;
    is_logged_out(&whoami(&sandbox.url(), &first).await, true);
    // A token that expires before it was used does not take the refresh token before it along.
    let missed = refresh(&sandbox.url(), &first).await.ok();
    tokio::time::sleep(Duration::from_millis(1_600)).await;
    is_logged_out(&whoami(&sandbox.url(), &missed).await, true);
    let second = refresh(&sandbox.url(), &first).await.ok();
    whoami(&sandbox.url(), &second).await.ok();
    // Without a refresh token there is no end.
    user.get("/account/whoami").await.ok();
    sandbox.end().await;
}
