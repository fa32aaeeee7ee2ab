//! Every route with every kind of bad input: the specification's code, nothing written, never a 5xx.

use ganglion_launcher::Role;
use percent_encoding::percent_decode_str;
use reqwest::Method;
use serde_json::{Value, json};

use crate::sandbox::{self, metric, shared};
use crate::user::{enc, http};

/// Routes that need no access token.
const OPEN: [&str; 16] = [
    "/_matrix/client/versions",
    "/.well-known/matrix/client",
    "/register",
    "/login",
    "/refresh",
    "/requestToken",
    "GET /_matrix/client/v3/profile",
    "GET /_matrix/client/r0/profile",
    "/_matrix/client/v1/register/",
    "GET /_matrix/client/v3/directory/room/",
    "GET /_matrix/client/r0/directory/room/",
    "GET /_matrix/client/v3/directory/list/room/",
    "GET /_matrix/client/r0/directory/list/room/",
    "GET /_matrix/client/v3/publicRooms",
    "GET /_matrix/client/r0/publicRooms",
    "GET /_matrix/client/v1/room_summary",
];

/// The client-reader's routes.
fn routes() -> Vec<(Method, String)> {
    let routes = sandbox::routes(Role::ClientReader);
    assert!(routes.len() > 60, "{}", routes.len());
    routes
}

/// A path with one value in all its placeholders, percent-encoded already.
fn fill(template: &str, value: &str) -> String {
    let parts = template
        .split('/')
        .map(|part| if part.starts_with('{') { value } else { part });
    parts.collect::<Vec<_>>().join("/")
}

fn is_open(method: &Method, path: &str) -> bool {
    OPEN.iter()
        .any(|open| format!("{method} {path}").contains(open))
}

async fn answer(request: reqwest::RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    (status, response.json().await.unwrap_or_default())
}

#[tokio::test]
async fn without_a_token_with_a_foreign_one_and_with_an_ended_one() {
    let cluster = shared().await;
    let ended = cluster.user("ended").await;
    ended.post("/logout", json!({})).await.ok();
    for (method, template) in routes() {
        if is_open(&method, &template) {
            continue;
        }
        let url = format!("{}{}", cluster.url(), fill(&template, "x"));
        let request = || http().request(method.clone(), &url).json(&json!({}));
        let (status, body) = answer(request()).await;
        assert_eq!(
            (status, &body["errcode"]),
            (401, &json!("M_MISSING_TOKEN")),
            "{method} {template}"
        );
        for token in ["syt_foreign_token", "", "gst_00000000_AAAA", &ended.token] {
            let (status, body) = answer(request().bearer_auth(token)).await;
            let wanted = if token.is_empty() {
                "M_MISSING_TOKEN"
            } else {
                "M_UNKNOWN_TOKEN"
            };
            assert_eq!(
                (status, &body["errcode"]),
                (401, &json!(wanted)),
                "{method} {template} {body}"
            );
        }
    }
}

#[tokio::test]
async fn bad_paths_queries_and_bodies() {
    let cluster = shared().await;
    let alice = cluster.user("alice").await;
    let room = alice.create_room(json!({})).await;
    let before = alice.sync(None, "").await["next_batch"].clone();
    let values = [
        "nonsense".to_owned(),
        enc("!unknown:localhost"),
        enc("@unknown:localhost"),
        enc("$unknown"),
        enc("#unknown:localhost"),
        enc(&"x".repeat(300)),
        "%00".to_owned(),
        "%FF%FE".to_owned(),
        enc("\u{202e}\u{0000}ä"),
        enc("../../.."),
    ];
    let bodies: [&[u8]; 9] = [
        b"",
        b"{",
        b"null",
        b"[]",
        b"\xff\xfe",
        br#"{"a":1,"a":2}"#,
        br#"{"user_id":5,"type":[],"membership":{},"msgtype":null}"#,
        br#"{"n":1e400}"#,
        br#"{"body":"\u0000\ud800"}"#,
    ];
    let panics = async || {
        let mut sum = 0.0;
        for process in &cluster.facts.processes {
            sum += metric(&process.admin_url, "ganglion_http_panics_total", "").await;
        }
        sum
    };
    let panics_before = panics().await;
    for (method, template) in routes() {
        // These end the token or make accounts.
        if template.contains("logout") || template.ends_with("/createRoom") {
            continue;
        }
        for value in &values {
            let url = format!(
                "{}{}?limit=x&dir=sideways&from=%FF",
                cluster.url(),
                fill(&template, value)
            );
            for body in bodies {
                if method == Method::GET && !body.is_empty() {
                    continue;
                }
                let request = http()
                    .request(method.clone(), &url)
                    .bearer_auth(&alice.token);
                let (status, answer) = answer(request.body(body.to_vec())).await;
                let said = format!(
                    "{method} {template} {value} {}: {status} {answer}",
                    String::from_utf8_lossy(body)
                );
                assert!(status < 500, "{said}");
                if status >= 400 && status != 401 {
                    assert!(answer["errcode"].is_string(), "{said}");
                }
            }
        }
    }
    assert!(
        (panics().await - panics_before).abs() < 0.5,
        "a request panicked"
    );
    let news = alice.sync(before.as_str(), "").await;
    assert!(news["rooms"]["join"][&room].is_null(), "{news}");
    let decoded = percent_decode_str(&values[1])
        .decode_utf8()
        .unwrap()
        .into_owned();
    assert_eq!(decoded, "!unknown:localhost");
}

/// A path whose placeholders fit, but for the `bad` one.
fn fitting(template: &str, user: &str, room: &str, event: &str, bad: Option<&str>) -> String {
    let parts = template.split('/').map(|part| match part {
        part if Some(part) == bad => "nonsense".to_owned(),
        "{user_id}" => enc(user),
        "{room_id}" | "{room_id_or_alias}" => enc(room),
        "{event_id}" => enc(event),
        "{room_alias}" => enc("#some:localhost"),
        "{receipt_type}" => "m.read".to_owned(),
        "{field}" => "displayname".to_owned(),
        "{kind}" => "content".to_owned(),
        part if part.starts_with('{') => "x".to_owned(),
        part => part.to_owned(),
    });
    parts.collect::<Vec<_>>().join("/")
}

#[tokio::test]
async fn bodies_that_are_no_json_and_no_object() {
    let cluster = shared().await;
    let alice = cluster.user("alice").await;
    let room = alice.create_room(json!({})).await;
    let event = alice.say(&room, "hello").await;
    let mut asked = 0;
    for (method, template) in routes() {
        // Their bodies are not read.
        if method == Method::GET || template.contains("logout") {
            continue;
        }
        let path = fitting(&template, &alice.id, &room, &event, None);
        let url = format!("{}{path}", cluster.url());
        let send = async |body: &'static str| {
            let request = http().request(method.clone(), &url).body(body);
            answer(request.bearer_auth(&alice.token)).await
        };
        let (status, body) = send("{").await;
        let found = (status, body["errcode"].as_str());
        assert_eq!(found, (400, Some("M_NOT_JSON")), "{method} {template}");
        // Without any field of a body, there is nothing to be wrong in it.
        if method == Method::DELETE || template.ends_with("/forget") {
            continue;
        }
        let (status, body) = send("[]").await;
        let found = (status, body["errcode"].as_str());
        assert_eq!(found, (400, Some("M_BAD_JSON")), "{method} {template}");
        asked += 1;
    }
    assert!(asked > 60, "{asked}");
}

#[tokio::test]
async fn ids_in_paths_that_are_none() {
    let cluster = shared().await;
    let alice = cluster.user("alice").await;
    let room = alice.create_room(json!({})).await;
    let event = alice.say(&room, "hello").await;
    let mut asked = 0;
    for (method, template) in routes() {
        for kind in [
            "{user_id}",
            "{room_id}",
            "{room_id_or_alias}",
            "{room_alias}",
            "{event_id}",
        ] {
            if !template.contains(kind) {
                continue;
            }
            let path = fitting(&template, &alice.id, &room, &event, Some(kind));
            let mut request = http()
                .request(method.clone(), format!("{}{path}", cluster.url()))
                .bearer_auth(&alice.token);
            if method != Method::GET {
                request = request.json(&json!({}));
            }
            let (status, body) = answer(request).await;
            // What the body lacks may be said first.
            let code = body["errcode"].as_str().unwrap_or_default();
            let said = code == "M_INVALID_PARAM" || method != Method::GET && code == "M_BAD_JSON";
            assert!(status == 400 && said, "{method} {path}: {status} {body}");
            asked += 1;
        }
    }
    assert!(asked > 100, "{asked}");
}

#[tokio::test]
async fn bodies_that_are_too_large_or_break_off() {
    let cluster = shared().await;
    let alice = cluster.user("alice").await;
    let url = format!("{}/_matrix/client/v3/createRoom", cluster.url());
    let large = format!("{{\"name\":\"{}\"}}", "x".repeat(2_000_000));
    let request = http().post(&url).bearer_auth(&alice.token).body(large);
    let (status, body) = answer(request).await;
    assert_eq!(
        (status, &body["errcode"]),
        (413, &json!("M_TOO_LARGE")),
        "{body}"
    );
    let request = http()
        .post(&url)
        .bearer_auth(&alice.token)
        .body("{\"name\":");
    let (status, body) = answer(request).await;
    assert_eq!(
        (status, &body["errcode"]),
        (400, &json!("M_NOT_JSON")),
        "{body}"
    );
}
