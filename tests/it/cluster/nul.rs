//! A NUL is legal in JSON, but no string of PostgreSQL can hold one: it is stored otherwise or
//! refused, and harms nobody else.

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::sandbox::shared;
use crate::user::{Reply, User, enc};

const NUL: &str = "a\u{0}b";

#[tokio::test]
async fn a_nul_among_many_harms_nobody() {
    let cluster = shared().await;
    let alice = cluster.user("alice").await;
    let room = alice.create_room(json!({})).await;
    let since = alice.sync(None, "").await;
    // As a value, as a key, and where the server looks itself: in a relation. Each of them among
    // others in one batch.
    let all = (0..74).map(async |number| match number {
        10 => send(&alice, &room, json!({"extra": NUL})).await,
        20 => send(&alice, &room, json!({NUL: "text"})).await,
        30 => send(&alice, &room, relation(NUL, "m.reference")).await,
        40 => send(&alice, &room, relation("$parent", NUL)).await,
        50 => send(&alice, &room, relation(NUL, "m.thread")).await,
        60 => send(&alice, &room, annotation(NUL)).await,
        _ => send(&alice, &room, json!({"extra": "text"})).await,
    });
    let answers = join_all(all).await;
    let mut taken = 0;
    for (number, answer) in answers.iter().enumerate() {
        let refused =
            (400..500).contains(&answer.status) && matches!(number, 10 | 20 | 30 | 40 | 50 | 60);
        assert!(answer.status == 200 || refused, "{number}: {answer:?}");
        taken += usize::from(answer.status == 200);
    }
    // What was taken can be read as it was sent.
    let filter = enc(r#"{"room":{"timeline":{"limit":100}}}"#);
    let token = since["next_batch"].as_str();
    let news = alice.sync(token, &format!("&filter={filter}")).await;
    let timeline = news["rooms"]["join"][&room]["timeline"]["events"]
        .as_array()
        .unwrap();
    assert_eq!(timeline.len(), taken);
    if answers[10].status == 200 {
        let event = timeline
            .iter()
            .find(|event| event["event_id"] == answers[10].body["event_id"]);
        assert_eq!(event.unwrap()["content"]["extra"], NUL);
    }
    alice.say(&room, "after").await;
}

async fn send(user: &User, room: &str, content: Value) -> Reply {
    let txn = format!("{:016x}", rand::random::<u64>());
    let path = format!("/rooms/{}/send/org.example.nul/{txn}", enc(room));
    user.put(&path, content).await
}

fn annotation(parent: &str) -> Value {
    json!({"m.relates_to": {"event_id": parent, "rel_type": "m.annotation", "key": NUL}})
}

fn relation(parent: &str, kind: &str) -> Value {
    json!({"m.relates_to": {"event_id": parent, "rel_type": kind}})
}

#[tokio::test]
async fn a_nul_anywhere_is_stored_or_refused() {
    let cluster = shared().await;
    let alice = cluster.user("alice").await;
    let room = alice.create_room(json!({})).await;
    let mut wrong = Vec::new();
    for (method, path, body) in [in_paths(&alice, &room), in_bodies(&alice, &room)].concat() {
        let body = (!body.is_null()).then_some(&body);
        let answer = alice.call(method.clone(), &path, body).await;
        let status = answer.status;
        if status != 200 && !(400..500).contains(&status) {
            wrong.push(format!("{method} {path}: {status} {}", answer.body));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    // All of it can be read, whatever was stored.
    alice.sync(None, "").await;
    alice.say(&room, "after").await;
}

type Request = (Method, String, Value);

fn in_paths(alice: &User, room: &str) -> Vec<Request> {
    let nul = enc(NUL);
    let rooms = format!("/rooms/{}", enc(room));
    let me = format!("/user/{}", enc(&alice.id));
    let alias = enc(&format!("#{NUL}:localhost"));
    let user = enc(&format!("@{NUL}:localhost"));
    let put = |path: String| (Method::PUT, path, json!({"body": "text"}));
    let post = |path: String| (Method::POST, path, json!({}));
    let get = |path: String| (Method::GET, path, Value::Null);
    vec![
        put(format!("{rooms}/send/{nul}/txn")),
        put(format!("{rooms}/send/m.room.message/{nul}")),
        put(format!("{rooms}/state/org.example.nul/{nul}")),
        put(format!("{rooms}/state/{nul}")),
        put(format!("{rooms}/redact/{nul}/txn")),
        put(format!("{me}/account_data/{nul}")),
        put(format!("{me}/rooms/{nul}/account_data/org.example.nul")),
        put(format!("/profile/{}/{nul}", enc(&alice.id))),
        post(format!("/join/{nul}")),
        post(format!("/join/{alias}")),
        get(format!("{rooms}/state/{nul}/{nul}")),
        get(format!("{rooms}/event/{nul}")),
        get(format!("{rooms}/messages?dir=b&from={nul}")),
        get(format!("/rooms/{nul}/members")),
        get(format!("/profile/{user}")),
        get(format!("{me}/account_data/{nul}")),
        get(format!("{me}/filter/{nul}")),
        get(format!("/sync?since={nul}")),
        get(format!("/sync?filter={nul}")),
    ]
}

fn in_bodies(alice: &User, room: &str) -> Vec<Request> {
    let rooms = format!("/rooms/{}", enc(room));
    let me = format!("/user/{}", enc(&alice.id));
    let name = json!({"displayname": NUL});
    let somebody = json!({"user_id": format!("@{NUL}:localhost"), "reason": NUL});
    let login = json!({
        "type": "m.login.password", "password": NUL,
        "identifier": {"type": "m.id.user", "user": NUL},
    });
    let put = |path: String, body: Value| (Method::PUT, path, body);
    let post = |path: &str, body: Value| (Method::POST, path.to_owned(), body);
    vec![
        put(format!("{rooms}/state/m.room.name"), json!({"name": NUL})),
        put(
            format!("{me}/account_data/org.example.nul"),
            json!({NUL: NUL}),
        ),
        put(format!("/profile/{}/displayname", enc(&alice.id)), name),
        post(&format!("{rooms}/invite"), somebody.clone()),
        post(&format!("{rooms}/kick"), somebody),
        post(&format!("{me}/filter"), json!({"event_fields": [NUL]})),
        post("/createRoom", json!({"room_alias_name": NUL})),
        post("/createRoom", json!({"name": NUL, "topic": NUL})),
        post("/createRoom", json!({"room_version": NUL})),
        post("/register", register(NUL, "a long password", "device")),
        post("/register", register("nul-password", NUL, "device")),
        post("/register", register("nul-device", "a long password", NUL)),
        post("/login", login),
    ]
}

fn register(name: &str, password: &str, device: &str) -> Value {
    json!({
        "username": name, "password": password, "device_id": device,
        "initial_device_display_name": NUL, "auth": {"type": "m.login.dummy"},
    })
}
