//! Client-server API, "POST /login/get_token" and "Token-based login"; and what a password must hold.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::sandbox::{Sandbox, shared};
use crate::user::{PASSWORD, Reply, User};

const SETTINGS: [(&str, &str); 3] = [
    ("accounts.login_tokens", "true"),
    ("accounts.login_token_lifetime_ms", "4000"),
    ("accounts.password_require_lowercase", "true"),
];

async fn ask(user: &User, body: &Value) -> Reply {
    user.call_v1(Method::POST, "/login/get_token", body).await
}

fn auth(user: &User) -> Value {
    json!({"auth": {
        "type": "m.login.password", "password": PASSWORD,
        "identifier": {"type": "m.id.user", "user": user.id},
    }})
}

async fn token(user: &User) -> String {
    let made = ask(user, &auth(user)).await.ok();
    assert_eq!(made["expires_in_ms"], 4_000);
    made["login_token"].as_str().unwrap().to_owned()
}

async fn login(user: &User, token: &str) -> Reply {
    user.post("/login", json!({"type": "m.login.token", "token": token}))
        .await
}

#[tokio::test]
async fn a_login_token_is_good_for_one_login() {
    let sandbox = Sandbox::start_with("login-token", |options| {
        let settings = SETTINGS.map(|(key, value)| (key.to_owned(), value.to_owned()));
        options.settings.extend(settings);
    })
    .await;
    let facts = sandbox.cluster.facts();
    let readers: Vec<String> = facts
        .processes
        .iter()
        .filter_map(|p| p.http_url.clone())
        .collect();
    let alice = sandbox.user("alice").await;
    let flows = alice.get("/login").await.ok();
    let flow = json!({"type": "m.login.token", "get_login_token": true});
    assert!(
        flows["flows"].as_array().unwrap().contains(&flow),
        "{flows}"
    );
    let capabilities = alice.get("/capabilities").await.ok();
    let capability = &capabilities["capabilities"]["m.get_login_token"];
    assert_eq!(*capability, json!({"enabled": true}));
    // The password is asked for, every time.
    let asked = ask(&alice, &json!({})).await;
    assert_eq!(asked.status, 401);
    assert_eq!(
        asked.body["flows"],
        json!([{"stages": ["m.login.password"]}])
    );
    let one = token(&alice.at(&readers[0])).await;
    assert_eq!(ask(&alice, &json!({})).await.status, 401);
    // Used at two places at once: one gets in, as the same user, with a device of its own.
    let (first, other) = (alice.at(&readers[0]), alice.at(&readers[1]));
    let (first, other) = tokio::join!(login(&first, &one), login(&other, &one));
    let mut statuses = [first.status, other.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 403], "{} {}", first.body, other.body);
    let made = if first.status == 200 { first } else { other }.ok();
    assert_eq!(made["user_id"], alice.id);
    assert_ne!(made["device_id"], alice.device);
    login(&alice, &one).await.fails(403, "M_FORBIDDEN");
    login(&alice, "glt_nonsense")
        .await
        .fails(403, "M_FORBIDDEN");
    let missing = json!({"type": "m.login.token"});
    alice.post("/login", missing).await.fails(400, "M_BAD_JSON");
    // It ends with time, and with the sessions.
    let late = token(&alice).await;
    tokio::time::sleep(Duration::from_millis(4_500)).await;
    login(&alice, &late).await.fails(403, "M_FORBIDDEN");
    let ended = token(&alice).await;
    alice.post("/logout/all", json!({})).await.ok();
    login(&alice, &ended).await.fails(403, "M_FORBIDDEN");

    let weak = json!({
        "username": "weak", "password": "ONLYCAPITALS", "auth": {"type": "m.login.dummy"},
    });
    alice
        .post("/register", weak)
        .await
        .fails(400, "M_WEAK_PASSWORD");
    sandbox.end().await;
}

#[tokio::test]
async fn without_them_none_is_given_out_or_taken() {
    let cluster = shared().await;
    let alice = cluster.user("alice").await;
    ask(&alice, &auth(&alice)).await.fails(400, "M_FORBIDDEN");
    login(&alice, "glt_any").await.fails(400, "M_UNKNOWN");
    let flows = alice.get("/login").await.ok();
    assert_eq!(flows["flows"], json!([{"type": "m.login.password"}]));
    let capabilities = alice.get("/capabilities").await.ok();
    let capability = &capabilities["capabilities"]["m.get_login_token"];
    assert_eq!(*capability, json!({"enabled": false}));
}
