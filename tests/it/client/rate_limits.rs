//! Client-server API, "Rate limiting": `[rate_limits]`, counted over all client-readers.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use tokio::time::Instant;

use crate::cluster::endpoints;
use crate::sandbox::{Sandbox, eventually, metric};
use crate::user::{PASSWORD, Reply, User, enc, http, request};

/// Refills too slowly for what a test does in the meantime.
const SETTINGS: [(&str, &str); 7] = [
    ("rate_limits.send", "{ burst = 5, per_second = 0.2 }"),
    (
        "rate_limits.send_in_room",
        "{ burst = 8, per_second = 0.02 }",
    ),
    (
        "rate_limits.failed_login_of_account",
        "{ burst = 3, per_second = 0.01 }",
    ),
    (
        "rate_limits.failed_password_of_device",
        "{ burst = 3, per_second = 0.01 }",
    ),
    ("rate_limits.repeat", "{ burst = 30, per_second = 0.01 }"),
    ("rate_limits.open", "{ burst = 4, per_second = 0.01 }"),
    ("rate_limits.exempt_users", "[\"@bot:localhost\"]"),
];

fn readers(sandbox: &Sandbox) -> Vec<String> {
    let processes = sandbox.cluster.facts().processes;
    processes.into_iter().filter_map(|p| p.http_url).collect()
}

#[tokio::test]
async fn rates_hold_over_all_instances_and_without_redis() {
    let mut sandbox = Sandbox::start_with("rates", |options| {
        let settings = SETTINGS.map(|(key, value)| (key.to_owned(), value.to_owned()));
        options.settings.extend(settings);
    })
    .await;
    let readers = readers(&sandbox);
    let alice = sandbox.user("alice").await;
    let bob = sandbox.user("bob").await;
    let room = alice.create_room(json!({"preset": "public_chat"})).await;
    bob.join(&room).await.ok();

    sends(&alice, &bob, &room, &readers).await;
    let bot = sandbox.user("bot").await;
    let own = bot.create_room(json!({})).await;
    for n in 0..8 {
        bot.send(&own, &format!("bot-{n}"), "beep").await.ok();
    }
    failed_logins(&bob, &readers).await;
    addresses(&readers).await;
    without_redis(&mut sandbox, &readers).await;
    sandbox.end().await;
}

async fn sends(alice: &User, bob: &User, room: &str, readers: &[String]) {
    let (one, other) = (alice.at(&readers[0]), alice.at(&readers[1]));
    let mut first = None;
    for n in 0..5 {
        let sent = one.send(room, &format!("t{n}"), "hello").await.ok();
        first.get_or_insert(sent["event_id"].clone());
    }
    let refused = one.send(room, "t5", "too much").await;
    refused.fails(429, "M_LIMIT_EXCEEDED");
    let wait = refused.body["retry_after_ms"].as_u64().unwrap();
    assert!((1..=5_000).contains(&wait), "{wait}");
    // What was sent already is answered, wherever it is repeated.
    let there = eventually(Duration::from_secs(5), async || {
        let txn = format!("new-{:08x}", rand::random::<u32>());
        other.send(room, &txn, "too much").await.status == 429
    });
    assert!(there.await, "the other instance has not heard of it");
    for user in [&one, &other] {
        let again = user.send(room, "t0", "hello").await.ok();
        assert_eq!(Some(&again["event_id"]), first.as_ref());
    }
    let url = format!(
        "{}/_matrix/client/v3/rooms/{}/send/m.room.message/t6",
        one.url,
        enc(room)
    );
    let request = http().put(url).bearer_auth(&one.token);
    let response = request.json(&json!({"msgtype": "m.text", "body": "x"}));
    let response = response.send().await.unwrap();
    assert_eq!(response.status(), 429);
    let seconds = response.headers()["retry-after"].to_str().unwrap();
    // More than a refill takes: what the other instance has let pass is paid back.
    assert!(
        (1..=60).contains(&seconds.parse::<u64>().unwrap()),
        "{seconds}"
    );
    // Reads have their own.
    one.get("/account/whoami").await.ok();
    // The other instance may have let a few pass before it heard; that is paid back.
    let again = eventually(Duration::from_secs(60), async || {
        one.send(room, "t5", "now it may").await.status == 200
    });
    assert!(again.await, "never again");
    // The room has its own, which bob runs into before his.
    let mut sent = 0;
    while bob
        .at(&readers[0])
        .send(room, &format!("b{sent}"), "hi")
        .await
        .status
        == 200
    {
        sent += 1;
    }
    assert!(sent < 5, "{sent}");
}

async fn failed_logins(bob: &User, readers: &[String]) {
    let login = async |reader: &str, password: &str| -> Reply {
        let body = json!({
            "type": "m.login.password", "password": password,
            "identifier": {"type": "m.id.user", "user": bob.id},
        });
        bob.at(reader).post("/login", body).await
    };
    for _ in 0..5 {
        login(&readers[0], PASSWORD).await.ok();
    }
    for _ in 0..3 {
        login(&readers[0], "wrong").await.fails(403, "M_FORBIDDEN");
    }
    let refused = login(&readers[0], PASSWORD).await;
    refused.fails(429, "M_LIMIT_EXCEEDED");
    let there = eventually(Duration::from_secs(5), async || {
        login(&readers[1], PASSWORD).await.status == 429
    });
    assert!(there.await, "the other instance has not heard of it");
    // At another address bob logs in.
    let url = format!("{}/_matrix/client/v3/login", readers[0]);
    let request = http().post(url).header("X-Forwarded-For", "198.51.100.40");
    let body = json!({
        "type": "m.login.password", "password": PASSWORD,
        "identifier": {"type": "m.id.user", "user": bob.id},
    });
    let status = request.json(&body).send().await.unwrap().status();
    assert_eq!(status, 200);
    // And a device that is logged in has a rate of its own.
    let bob = bob.at(&readers[0]);
    let change = async |password: &str| {
        let auth = json!({
            "type": "m.login.password", "password": password,
            "identifier": {"type": "m.id.user", "user": bob.id},
        });
        let body = json!({"new_password": PASSWORD, "logout_devices": false, "auth": auth});
        bob.post("/account/password", body).await
    };
    change(PASSWORD).await.ok();
    for _ in 0..3 {
        change("wrong").await.fails(401, "M_FORBIDDEN");
    }
    change(PASSWORD).await.fails(429, "M_LIMIT_EXCEEDED");
}

async fn open(reader: &str, forwarded: &str) -> u16 {
    let request = http().get(format!("{reader}/_matrix/client/v3/login"));
    let request = request.header("X-Forwarded-For", forwarded);
    request.send().await.unwrap().status().as_u16()
}

async fn addresses(readers: &[String]) {
    for _ in 0..4 {
        assert_eq!(open(&readers[0], "198.51.100.1").await, 200);
    }
    assert_eq!(open(&readers[0], "198.51.100.1").await, 429);
    // A HEAD is answered as the GET that it is one of, and counts as one.
    let url = format!("{}/_matrix/client/v3/login", readers[0]);
    let head = http().head(url).header("X-Forwarded-For", "198.51.100.1");
    assert_eq!(head.send().await.unwrap().status(), 429);
    // Only what the one proxy in front has added counts.
    assert_eq!(open(&readers[0], "198.51.100.77, 198.51.100.1").await, 429);
    assert_eq!(open(&readers[0], "198.51.100.2").await, 200);
    let there = eventually(Duration::from_secs(5), async || {
        open(&readers[1], "198.51.100.1").await == 429
    });
    assert!(there.await, "the other instance has not heard of it");
}

async fn without_redis(sandbox: &mut Sandbox, readers: &[String]) {
    sandbox.cluster.kill("redis").await.unwrap();
    let started = Instant::now();
    for _ in 0..4 {
        assert_eq!(open(&readers[0], "203.0.113.9").await, 200);
    }
    assert_eq!(open(&readers[0], "203.0.113.9").await, 429);
    assert!(started.elapsed() < Duration::from_secs(3));
    let processes = sandbox.cluster.facts().processes;
    let alone = eventually(Duration::from_secs(10), async || {
        let mut sum = 0.0;
        for process in &processes {
            let name = "ganglion_rate_limits_settled_total";
            sum += metric(&process.admin_url, name, "alone").await;
        }
        sum > 0.0
    });
    assert!(alone.await);
    sandbox.cluster.restart("redis").await.unwrap();
    let heard = eventually(Duration::from_secs(20), async || {
        // A bucket of its own each time, that the other instance has never seen.
        let address = format!("203.0.113.{}", 10 + rand::random::<u8>() % 200);
        for _ in 0..5 {
            open(&readers[0], &address).await;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        open(&readers[1], &address).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        open(&readers[1], &address).await == 429
    });
    assert!(heard.await, "Redis is back, and nobody counts together");
}

#[tokio::test]
async fn whatever_the_specification_limits_is_limited() {
    let sandbox = Sandbox::start_with("all-rates", |options| {
        for class in [
            "open",
            "read",
            "write",
            "ephemeral",
            "send",
            "join",
            "invite",
            "create_room",
            "report",
            "login_token",
            "login",
            "register",
        ] {
            let rate = "{ burst = 1, per_second = 0.001 }".to_owned();
            options
                .settings
                .push((format!("rate_limits.{class}"), rate));
        }
    })
    .await;
    // One instance, which has counted the first when the second comes.
    let alice = sandbox.user("alice").await.at(&readers(&sandbox)[0]);
    let mut limited = 0;
    for row in endpoints::rows() {
        if !(row.limited && row.role.is_some()) {
            continue;
        }
        let parts = row.path.split('/').map(|part| match part {
            "{userId}" => enc(&alice.id),
            part if part.starts_with("{room") => enc("!unknown:localhost"),
            part if part.starts_with('{') => "x".to_owned(),
            part => part.to_owned(),
        });
        let path = parts.collect::<Vec<_>>().join("/");
        let method: Method = row.method.parse().unwrap();
        let body = (method != Method::GET).then(|| json!({}));
        let ask = async || {
            let token = Some(alice.token.as_str());
            request(method.clone(), &alice.url, &path, token, body.as_ref()).await
        };
        // Whatever the first is answered, it counts.
        ask().await;
        let refused = ask().await;
        assert_eq!(
            (refused.status, refused.body["errcode"].as_str()),
            (429, Some("M_LIMIT_EXCEEDED")),
            "{method} {path} {}",
            refused.body
        );
        assert!(refused.body["retry_after_ms"].as_i64() > Some(0));
        limited += 1;
    }
    assert!(limited > 30, "{limited}");
    sandbox.end().await;
}

#[tokio::test]
async fn they_can_be_switched_off() {
    let sandbox = Sandbox::start_with("no-rates", |options| {
        let settings = SETTINGS.map(|(key, value)| (key.to_owned(), value.to_owned()));
        options.settings.extend(settings);
        let off = ("rate_limits.enabled".to_owned(), "false".to_owned());
        options.settings.push(off);
    })
    .await;
    let alice = sandbox.user("alice").await;
    let room = alice.create_room(json!({})).await;
    for n in 0..10 {
        alice.send(&room, &format!("t{n}"), "hello").await.ok();
    }
    for _ in 0..6 {
        alice.call(Method::GET, "/login", None).await.ok();
    }
    sandbox.end().await;
}

#[tokio::test]
async fn member_events_count_as_what_they_do() {
    let sandbox = Sandbox::start_with("rates-of-members", |options| {
        for key in ["join", "invite"] {
            let rate = "{ burst = 3, per_second = 0.001 }".to_owned();
            options.settings.push((format!("rate_limits.{key}"), rate));
        }
    })
    .await;
    let url = readers(&sandbox).remove(0);
    let alice = sandbox.user("alice").await.at(&url);
    let mut others = Vec::new();
    for name in ["b", "c", "d", "e"] {
        others.push(sandbox.user(name).await.id);
    }
    let room = alice.create_room(json!({})).await;
    let invite = async |user: &str| {
        let path = format!("/rooms/{}/state/m.room.member/{}", enc(&room), enc(user));
        alice.put(&path, json!({"membership": "invite"})).await
    };
    invite(&others[0]).await.ok();
    // Two with a room, whichever way.
    let event = json!({
        "type": "m.room.member", "state_key": others[1], "content": {"membership": "invite"},
    });
    let body = json!({"invite": [others[0]], "initial_state": [event]});
    alice.create_room(body).await;
    invite(&others[2]).await.fails(429, "M_LIMIT_EXCEEDED");
    let body = json!({"invite": [others[0]]});
    let refused = alice.post("/createRoom", body).await;
    refused.fails(429, "M_LIMIT_EXCEEDED");
    alice.create_room(json!({})).await;
    let path = format!(
        "/rooms/{}/state/m.room.member/{}",
        enc(&room),
        enc(&alice.id)
    );
    for n in 0..3 {
        let body = json!({"membership": "join", "displayname": format!("a{n}")});
        alice.put(&path, body).await.ok();
    }
    let body = json!({"membership": "join", "displayname": "b"});
    let refused = alice.put(&path, body).await;
    refused.fails(429, "M_LIMIT_EXCEEDED");
    sandbox.end().await;
}

#[tokio::test]
async fn who_is_not_in_a_room_takes_nothing_from_it() {
    let sandbox = Sandbox::start_with("rates-of-rooms", |options| {
        let settings = [
            ("send", "{ burst = 12, per_second = 0.001 }"),
            ("send_in_room", "{ burst = 4, per_second = 0.001 }"),
            ("repeat", "{ burst = 3, per_second = 0.001 }"),
        ];
        let settings = settings.map(|(key, rate)| (format!("rate_limits.{key}"), rate.to_owned()));
        options.settings.extend(settings);
    })
    .await;
    let url = readers(&sandbox).remove(0);
    let alice = sandbox.user("alice").await.at(&url);
    let mallory = sandbox.user("mallory").await.at(&url);
    let room = alice.create_room(json!({})).await;
    for n in 0..12 {
        let refused = mallory.send(&room, &format!("m{n}"), "hello").await;
        refused.fails(403, "M_FORBIDDEN");
    }
    // It has cost her own.
    let refused = mallory.send(&room, "m12", "hello").await;
    refused.fails(429, "M_LIMIT_EXCEEDED");
    for n in 0..4 {
        alice.send(&room, &format!("a{n}"), "hello").await.ok();
    }
    // The room's is used up; repetitions are answered, as often as they may be looked up.
    for _ in 0..3 {
        alice.send(&room, "a0", "hello").await.ok();
    }
    let refused = alice.send(&room, "a0", "hello").await;
    refused.fails(429, "M_LIMIT_EXCEEDED");
    // What the room has refused has cost her own, too: four of twelve are left.
    let other = alice.create_room(json!({})).await;
    for n in 0..4 {
        alice.send(&other, &format!("o{n}"), "hello").await.ok();
    }
    let refused = alice.send(&other, "o4", "hello").await;
    refused.fails(429, "M_LIMIT_EXCEEDED");
    sandbox.end().await;
}
