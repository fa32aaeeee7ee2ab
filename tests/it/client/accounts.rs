//! Client-server API, "Client Authentication".

use std::time::Duration;

use ganglion_launcher::Role;
use reqwest::Method;
use serde_json::{Value, json};

use crate::sandbox::{Sandbox, bin_dir, connect, eventually, shared};
use crate::user::{PASSWORD, Reply, User, enc, request};

async fn register(url: &str, body: Value) -> Reply {
    request(
        Method::POST,
        url,
        "/_matrix/client/v3/register",
        None,
        Some(&body),
    )
    .await
}

async fn login(url: &str, body: Value) -> Reply {
    request(
        Method::POST,
        url,
        "/_matrix/client/v3/login",
        None,
        Some(&body),
    )
    .await
}

fn unique(name: &str) -> String {
    format!("{name}-{:08x}", rand::random::<u32>())
}

#[tokio::test]
async fn registration_asks_for_a_stage_first() {
    let cluster = shared().await;
    let name = unique("new");
    let asked = register(
        cluster.url(),
        json!({"username": name, "password": PASSWORD}),
    )
    .await;
    assert_eq!(asked.status, 401);
    assert_eq!(asked.body["flows"], json!([{"stages": ["m.login.dummy"]}]));
    assert!(asked.body["errcode"].is_null(), "{}", asked.body);
    // Any instance goes on with the session that another began.
    let auth = json!({"type": "m.login.dummy", "session": asked.body["session"]});
    let body = json!({"username": name, "password": PASSWORD, "auth": auth, "device_id": "PHONE"});
    let done = register(cluster.readers().last().unwrap(), body.clone())
        .await
        .ok();
    assert_eq!(done["user_id"], format!("@{name}:localhost"));
    assert_eq!(done["device_id"], "PHONE");
    register(cluster.url(), body)
        .await
        .fails(400, "M_USER_IN_USE");
    let auth = json!({"type": "m.login.dummy", "session": "unknown"});
    let body = json!({"username": unique("x"), "password": PASSWORD, "auth": auth});
    let refused = register(cluster.url(), body).await;
    refused.fails(401, "M_UNAUTHORIZED");
    assert!(refused.body["session"].is_string());
}

#[tokio::test]
async fn registration_refuses() {
    let cluster = shared().await;
    let auth = json!({"type": "m.login.dummy"});
    let with =
        |name: &str, password: &str| json!({"username": name, "password": password, "auth": auth});
    let long = "x".repeat(300);
    for name in ["has space", "ä", "", "with:colon", &long] {
        register(cluster.url(), with(name, PASSWORD))
            .await
            .fails(400, "M_INVALID_USERNAME");
    }
    register(cluster.url(), with(&unique("a"), "short"))
        .await
        .fails(400, "M_WEAK_PASSWORD");
    let no_password = json!({"username": unique("a"), "auth": auth});
    register(cluster.url(), no_password)
        .await
        .fails(400, "M_MISSING_PARAM");
    let path = "/_matrix/client/v3/register?kind=guest";
    let guest = request(Method::POST, cluster.url(), path, None, Some(&json!({}))).await;
    guest.fails(403, "M_GUEST_ACCESS_FORBIDDEN");
    let service = json!({"type": "m.login.application_service", "username": unique("a")});
    register(cluster.url(), service)
        .await
        .fails(403, "M_FORBIDDEN");
}

async fn available(url: &str, query: &str) -> Reply {
    let path = format!("/_matrix/client/v3/register/available{query}");
    request(Method::GET, url, &path, None, None).await
}

async fn validity(url: &str, query: &str) -> Reply {
    let path = "/_matrix/client/v1/register/m.login.registration_token/validity";
    request(Method::GET, url, &format!("{path}{query}"), None, None).await
}

#[tokio::test]
async fn names_that_are_free() {
    let cluster = shared().await;
    let name = unique("free");
    let query = format!("?username={name}");
    for reader in cluster.readers() {
        let free = available(&reader, &query).await.ok();
        assert_eq!(free, json!({"available": true}));
    }
    let auth = json!({"type": "m.login.dummy"});
    let body = json!({"username": name, "password": PASSWORD, "auth": auth});
    register(cluster.url(), body).await.ok();
    let upper = format!("?username={}", name.to_uppercase());
    for reader in cluster.readers() {
        for query in [&query, &upper] {
            available(&reader, query).await.fails(400, "M_USER_IN_USE");
        }
    }
    for query in ["?username=", "?username=a%20b", "?username=a%00b"] {
        available(cluster.url(), query)
            .await
            .fails(400, "M_INVALID_USERNAME");
    }
    available(cluster.url(), "")
        .await
        .fails(400, "M_MISSING_PARAM");
    // Open registration knows tokens, too, though it asks for none.
    let none = validity(cluster.url(), "?token=nonsense").await.ok();
    assert_eq!(none, json!({"valid": false}));
    validity(cluster.url(), "")
        .await
        .fails(400, "M_MISSING_PARAM");
}

#[tokio::test]
async fn a_deactivated_account_is_gone_for_good() {
    let cluster = shared().await;
    let alice = cluster.user("gone").await;
    let phone = User::login(cluster.url(), &alice.id).await;
    let bob = cluster.user("bob").await;
    let room = bob.create_room(json!({"preset": "public_chat"})).await;
    alice.join(&room).await.ok();
    let invited = bob.create_room(json!({"invite": [alice.id]})).await;
    let profile = format!("/profile/{}", enc(&alice.id));
    let path = format!("{profile}/displayname");
    alice.put(&path, json!({"displayname": "Alice"})).await.ok();
    let path = format!("/user/{}/account_data/a.b", enc(&alice.id));
    alice.put(&path, json!({"a": 1})).await.ok();
    let password = json!({
        "type": "m.login.password",
        "identifier": {"type": "m.id.user", "user": alice.id},
        "password": PASSWORD,
    });
    let asked = phone
        .post("/account/deactivate", json!({"erase": true}))
        .await;
    assert_eq!(asked.status, 401);
    assert_eq!(
        asked.body["flows"],
        json!([{"stages": ["m.login.password"]}])
    );
    let wrong = json!({"type": "m.login.password", "user": alice.id, "password": "wrong"});
    phone
        .post("/account/deactivate", json!({"auth": wrong}))
        .await
        .fails(401, "M_FORBIDDEN");
    let body = json!({"erase": true, "auth": password});
    let done = phone.post("/account/deactivate", body).await.ok();
    assert_eq!(done, json!({"id_server_unbind_result": "success"}));
    let name = alice.id.split([':', '@']).nth(1).unwrap();
    for reader in cluster.readers() {
        for user in [&alice, &phone] {
            let refused = user.at(&reader).get("/account/whoami").await;
            refused.fails(401, "M_UNKNOWN_TOKEN");
            assert_eq!(refused.body["soft_logout"], false);
        }
        login(&reader, password.clone())
            .await
            .fails(403, "M_USER_DEACTIVATED");
        available(&reader, &format!("?username={name}"))
            .await
            .fails(400, "M_USER_IN_USE");
        bob.at(&reader)
            .get(&profile)
            .await
            .fails(404, "M_NOT_FOUND");
    }
    let auth = json!({"type": "m.login.dummy"});
    register(
        cluster.url(),
        json!({"username": name, "password": PASSWORD, "auth": auth}),
    )
    .await
    .fails(400, "M_USER_IN_USE");
    for room in [room, invited] {
        let path = format!(
            "/rooms/{}/state/m.room.member/{}",
            enc(&room),
            enc(&alice.id)
        );
        let left = eventually(Duration::from_secs(20), async || {
            bob.get(&path).await.ok()["membership"] == "leave"
        });
        assert!(left.await, "{room}");
    }
    let client = connect(&cluster.facts.postgres.primary).await;
    let query = "SELECT a.erased, a.password_hash IS NULL, \
        (SELECT count(*) FROM account_data d WHERE d.user_nid = a.user_nid), \
        (SELECT count(*) FROM devices d WHERE d.user_nid = a.user_nid), \
        (SELECT count(*) FROM profiles p WHERE p.user_nid = a.user_nid) \
        FROM accounts a JOIN users u ON u.user_nid = a.user_nid WHERE u.user_id = $1";
    let row = client.query_one(query, &[&alice.id]).await.unwrap();
    assert!(row.get::<_, bool>(0) && row.get::<_, bool>(1));
    let left: Vec<i64> = (2..5).map(|column| row.get(column)).collect();
    assert_eq!(left, [0, 0, 0]);
}

#[tokio::test]
async fn nobody_who_is_gone_comes_in() {
    let cluster = shared().await;
    let alice = cluster.user("going").await;
    let bob = cluster.user("bob").await;
    let mut rooms = Vec::new();
    for _ in 0..8 {
        let body = json!({"preset": "public_chat"});
        rooms.push(bob.create_room(body).await);
    }
    let auth = json!({"type": "m.login.password", "user": alice.id, "password": PASSWORD});
    // Joins are on their way while the account ends.
    let mut joins = tokio::task::JoinSet::new();
    for (index, room) in rooms.iter().cloned().enumerate() {
        let reader = cluster.readers()[index % 2].clone();
        let alice = alice.at(&reader);
        joins.spawn(async move {
            tokio::time::sleep(Duration::from_millis(20 * index as u64)).await;
            alice.join(&room).await.status
        });
    }
    let body = json!({"auth": auth});
    alice.post("/account/deactivate", body).await.ok();
    joins.join_all().await;
    for room in &rooms {
        let path = format!("/rooms/{}/joined_members", enc(room));
        let left = eventually(Duration::from_secs(20), async || {
            bob.get(&path).await.ok()["joined"][&alice.id].is_null()
        });
        assert!(left.await, "{room}");
        let invite = json!({"user_id": alice.id});
        let path = format!("/rooms/{}/invite", enc(room));
        bob.post(&path, invite).await.fails(403, "M_FORBIDDEN");
    }
    let path = format!(
        "/rooms/{}/state/m.room.member/{}",
        enc(&rooms[0]),
        enc(&alice.id)
    );
    let invite = json!({"membership": "invite"});
    bob.put(&path, invite).await.fails(403, "M_FORBIDDEN");
}

#[tokio::test]
async fn a_batch_that_lets_in_who_is_gone_is_refused() {
    let cluster = shared().await;
    let alice = cluster.user("held").await;
    let bob = cluster.user("bob").await;
    let room = bob.create_room(json!({"preset": "public_chat"})).await;
    let client = connect(&cluster.facts.postgres.primary).await;
    // As the shard of the user holds the row, after the room's owner has looked and before it writes.
    client.batch_execute("BEGIN").await.unwrap();
    let end = "UPDATE accounts a SET deactivated_at = 1 FROM users u \
        WHERE u.user_nid = a.user_nid AND u.user_id = $1";
    client.execute(end, &[&alice.id]).await.unwrap();
    let joined = {
        let (alice, room) = (alice.clone(), room.clone());
        tokio::spawn(async move { alice.join(&room).await })
    };
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(!joined.is_finished(), "the join did not wait");
    client.batch_execute("COMMIT").await.unwrap();
    joined.await.unwrap().fails(403, "M_USER_DEACTIVATED");
    // Others of the same shard go on.
    let carol = cluster.user("carol").await;
    carol.join(&room).await.ok();
}

#[tokio::test]
async fn no_identity_server_is_trusted_and_nothing_is_validated() {
    let cluster = shared().await;
    let user = cluster.user("threepid").await;
    let add = json!({"client_secret": "s", "sid": "1"});
    let asked = user.post("/account/3pid/add", add.clone()).await;
    assert_eq!(asked.status, 401);
    assert_eq!(
        asked.body["flows"],
        json!([{"stages": ["m.login.password"]}])
    );
    let mut with_auth = add;
    with_auth["auth"] = json!({"type": "m.login.password", "user": user.id, "password": PASSWORD});
    let added = user.post("/account/3pid/add", with_auth).await;
    added.fails(400, "M_THREEPID_AUTH_FAILED");
    let bind = json!({
        "client_secret": "s", "sid": "1", "id_server": "id.example", "id_access_token": "t",
    });
    let bound = user.post("/account/3pid/bind", bind.clone()).await;
    bound.fails(403, "M_SERVER_NOT_TRUSTED");
    let deprecated = json!({"three_pid_creds": bind});
    let bound = user.post("/account/3pid", deprecated).await;
    bound.fails(403, "M_THREEPID_AUTH_FAILED");
    for path in ["add", "bind", "delete", "unbind"] {
        let path = format!("/account/3pid/{path}");
        user.post(&path, json!({})).await.fails(400, "M_BAD_JSON");
    }
    let email = json!({"medium": "email", "address": "a@b.c"});
    for path in ["delete", "unbind"] {
        let path = format!("/account/3pid/{path}");
        let gone = user.post(&path, email.clone()).await.ok();
        assert_eq!(gone, json!({"id_server_unbind_result": "no-support"}));
    }
    let empty = json!({});
    let guest = request(
        Method::POST,
        cluster.url(),
        "/_matrix/client/v3/register?kind=guest",
        None,
        Some(&empty),
    );
    guest.await.fails(403, "M_GUEST_ACCESS_FORBIDDEN");
    let service = json!({"type": "m.login.application_service", "username": "service"});
    register(cluster.url(), service.clone())
        .await
        .fails(403, "M_FORBIDDEN");
    login(cluster.url(), service)
        .await
        .fails(403, "M_FORBIDDEN");
}

#[tokio::test]
async fn no_third_party_identifier_is_bound() {
    let cluster = shared().await;
    let user = cluster.user("threepid").await;
    let none = user.get("/account/3pid").await.ok();
    assert_eq!(none, json!({"threepids": []}));
    let email = json!({"client_secret": "s", "email": "a@b.c", "send_attempt": 1});
    let phone = json!({
        "client_secret": "s", "country": "GB", "phone_number": "07700900001", "send_attempt": 1,
    });
    for (medium, body) in [("email", email), ("msisdn", phone)] {
        for (path, status, errcode) in [
            ("register", 403, "M_THREEPID_DENIED"),
            ("account/3pid", 400, "M_THREEPID_MEDIUM_NOT_SUPPORTED"),
            ("account/password", 400, "M_THREEPID_NOT_FOUND"),
        ] {
            let path = format!("/_matrix/client/v3/{path}/{medium}/requestToken");
            let asked = request(Method::POST, cluster.url(), &path, None, Some(&body)).await;
            asked.fails(status, errcode);
            let empty = json!({});
            request(Method::POST, cluster.url(), &path, None, Some(&empty))
                .await
                .fails(400, "M_BAD_JSON");
        }
    }
}

#[tokio::test]
async fn an_account_without_login_logs_in_later() {
    let cluster = shared().await;
    let name = unique("Quiet");
    let auth = json!({"type": "m.login.dummy"});
    let body = json!({
        "username": name, "password": PASSWORD, "auth": auth, "inhibit_login": true,
    });
    let made = register(cluster.url(), body).await.ok();
    assert!(
        made["access_token"].is_null() && made["device_id"].is_null(),
        "{made}"
    );
    // Capital letters are made small, in the registration as in the login.
    let user_id = format!("@{}:localhost", name.to_lowercase());
    assert_eq!(made["user_id"], user_id);
    let user = User::login(cluster.url(), &name).await;
    assert_eq!(user.id, user_id);
    let whoami = user.get("/account/whoami").await.ok();
    assert_eq!(
        whoami,
        json!({"user_id": user.id, "device_id": user.device})
    );
}

#[tokio::test]
async fn login_refuses() {
    let cluster = shared().await;
    let user = cluster.user("login").await;
    let identifier = json!({"type": "m.id.user", "user": user.id});
    let with = |kind: &str, identifier: &Value, password: &str| json!({"type": kind, "identifier": identifier, "password": password});
    let password = "m.login.password";
    for (name, secret) in [
        (user.id.as_str(), "wrong"),
        ("nobody-at-all", PASSWORD),
        ("@a:elsewhere.example", PASSWORD),
    ] {
        let identifier = json!({"type": "m.id.user", "user": name});
        login(cluster.url(), with(password, &identifier, secret))
            .await
            .fails(403, "M_FORBIDDEN");
    }
    let email = json!({"type": "m.id.thirdparty", "medium": "email", "address": "a@b.c"});
    login(cluster.url(), with(password, &email, PASSWORD))
        .await
        .fails(403, "M_FORBIDDEN");
    login(
        cluster.url(),
        with("m.login.unknown", &identifier, PASSWORD),
    )
    .await
    .fails(400, "M_UNKNOWN");
    login(cluster.url(), json!({}))
        .await
        .fails(400, "M_BAD_JSON");
    login(cluster.url(), json!({"type": password}))
        .await
        .fails(400, "M_BAD_JSON");
    let flows = request(
        Method::GET,
        cluster.url(),
        "/_matrix/client/v3/login",
        None,
        None,
    )
    .await;
    assert_eq!(flows.ok()["flows"][0]["type"], password);
}

#[tokio::test]
async fn a_logout_ends_the_token_at_once_everywhere() {
    let cluster = shared().await;
    let first = cluster.user("logout").await;
    let second = User::login(cluster.url(), &first.id).await;
    let third = User::login(cluster.url(), &first.id).await;
    for reader in cluster.readers() {
        second.at(&reader).get("/account/whoami").await.ok();
    }
    second.post("/logout", json!({})).await.ok();
    for reader in cluster.readers() {
        let refused = second.at(&reader).get("/account/whoami").await;
        refused.fails(401, "M_UNKNOWN_TOKEN");
        assert_eq!(refused.body["soft_logout"], false);
        third.at(&reader).get("/account/whoami").await.ok();
    }
    first.post("/logout/all", json!({})).await.ok();
    for user in [&first, &third] {
        for reader in cluster.readers() {
            user.at(&reader)
                .get("/account/whoami")
                .await
                .fails(401, "M_UNKNOWN_TOKEN");
        }
    }
    User::login(cluster.url(), &first.id)
        .await
        .get("/account/whoami")
        .await
        .ok();
}

#[tokio::test]
async fn a_login_with_a_known_device_ends_its_earlier_token() {
    let cluster = shared().await;
    let user = cluster.user("device").await;
    let body = json!({
        "type": "m.login.password",
        "identifier": {"type": "m.id.user", "user": user.id},
        "password": PASSWORD,
        "device_id": user.device,
    });
    let again = login(cluster.url(), body).await.ok();
    assert_eq!(again["device_id"], user.device);
    user.get("/account/whoami")
        .await
        .fails(401, "M_UNKNOWN_TOKEN");
    let token = again["access_token"].as_str().unwrap().to_owned();
    User { token, ..user }.get("/account/whoami").await.ok();
}

#[tokio::test]
async fn registration_by_token_and_none_at_all() {
    let sandbox = Sandbox::start_with("registration", |options| {
        options.registration = "token".to_owned();
        options.counts.insert(Role::EventPersister, 1);
    })
    .await;
    let made = std::process::Command::new(bin_dir().join("ganglion"))
        .args([
            "registration-tokens",
            "create",
            "--uses",
            "1",
            "--token",
            "let-me-in",
        ])
        .arg("--config")
        .arg(
            sandbox
                .cluster
                .config_of(Role::ClientReader)
                .with_file_name("ganglion.toml"),
        )
        .output()
        .unwrap();
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    let url = sandbox.url();
    let with = |name: &str, token: &str| {
        let auth = json!({"type": "m.login.registration_token", "token": token});
        json!({"username": name, "password": PASSWORD, "auth": auth})
    };
    let asked = register(&url, json!({})).await;
    assert_eq!(
        asked.body["flows"],
        json!([{"stages": ["m.login.registration_token"]}])
    );
    let dummy = json!({"username": "a", "password": PASSWORD, "auth": {"type": "m.login.dummy"}});
    register(&url, dummy).await.fails(401, "M_UNAUTHORIZED");
    register(&url, with("a", "no-such-token"))
        .await
        .fails(401, "M_UNAUTHORIZED");
    let valid = validity(&url, "?token=let-me-in").await.ok();
    assert_eq!(valid, json!({"valid": true}));
    let valid = validity(&url, "?token=no-such-token").await.ok();
    assert_eq!(valid, json!({"valid": false}));
    // One use: of two who come at the same moment one gets in.
    let (first, second) = tokio::join!(
        register(&url, with("a", "let-me-in")),
        register(&url, with("b", "let-me-in"))
    );
    let mut statuses = [first.status, second.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 401], "{} {}", first.body, second.body);
    register(&url, with("c", "let-me-in"))
        .await
        .fails(401, "M_UNAUTHORIZED");
    let valid = validity(&url, "?token=let-me-in").await.ok();
    assert_eq!(valid, json!({"valid": false}));
    sandbox.end().await;

    let sandbox = Sandbox::start_with("no-registration", |options| {
        options.registration = "disabled".to_owned();
        options.counts.insert(Role::EventPersister, 1);
    })
    .await;
    register(&sandbox.url(), json!({}))
        .await
        .fails(403, "M_FORBIDDEN");
    validity(&sandbox.url(), "?token=a")
        .await
        .fails(403, "M_FORBIDDEN");
    sandbox.end().await;
}
