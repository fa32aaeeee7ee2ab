//! Every route, by way of HAProxy, reaches the role that serves it.

use std::collections::BTreeSet;

use ganglion_launcher::Role;
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::sandbox::{Shared, routes, shared};
use crate::user::{User, enc, http};

#[tokio::test]
async fn every_route_is_served() {
    let cluster = shared().await;
    let alice = cluster.user("alice").await;
    // Whom a request logs out.
    let leaver = cluster.user("leaver").await;
    let room = alice.create_room(json!({})).await;
    let routes = routes(Role::ClientReader);
    assert!(routes.len() > 50, "{routes:?}");
    for (method, template) in routes {
        let path = filled(&template, &alice, &room);
        let who = if template.contains("logout") {
            &leaver
        } else {
            &alice
        };
        let answer = ask(cluster, &method, &path, Some(who)).await;
        let status = answer.status().as_u16();
        // HAProxy passes the request's number on; what it answers itself has none.
        assert!(
            answer.headers().contains_key("x-request-id"),
            "{method} {path}"
        );
        has_cors(&answer);
        let body: Value = answer.json().await.unwrap();
        let unknown = status == 405 || body["errcode"] == "M_UNRECOGNIZED";
        assert!(!unknown && status < 500, "{method} {path}: {status} {body}");
    }
}

#[tokio::test]
async fn what_is_not_served_is_answered_as_the_specification_asks() {
    let cluster = shared().await;
    for path in [
        "/",
        "/nothing",
        "/_matrix/client/v3/nothing",
        "/_matrix/federation/v1/version",
    ] {
        let answer = ask(cluster, &Method::GET, path, None).await;
        unrecognized(answer, 404, path).await;
    }
    let wrong = [
        (Method::DELETE, "/_matrix/client/v3/sync"),
        (Method::POST, "/_matrix/client/versions"),
        (Method::GET, "/_matrix/client/v3/createRoom"),
        (Method::PUT, "/_matrix/client/v3/rooms/x/join"),
    ];
    for (method, path) in wrong {
        let answer = ask(cluster, &method, path, None).await;
        unrecognized(answer, 405, path).await;
    }
    let mut paths: BTreeSet<String> = routes(Role::ClientReader)
        .into_iter()
        .map(|(_, path)| path)
        .collect();
    paths.insert("/_matrix/client/v3/nothing".to_owned());
    for path in paths {
        let path = path.replace(['{', '}'], "");
        let answer = ask(cluster, &Method::OPTIONS, &path, None).await;
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        has_cors(&answer);
    }
}

/// What runs in containers is balanced as what the launcher runs.
#[tokio::test]
async fn compose_has_the_launchers_rules() {
    let cluster = shared().await;
    let config = cluster.cluster.config_of(Role::ClientReader);
    let launcher = std::fs::read_to_string(config.with_file_name("haproxy.cfg")).unwrap();
    let compose = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/haproxy.cfg");
    let compose = std::fs::read_to_string(compose).unwrap();
    for section in ["defaults", "frontend matrix", "backend client-reader"] {
        let launcher = rules(&launcher, section);
        assert!(launcher.len() > 5, "{section}: {launcher:?}");
        let compose = rules(&compose, section);
        let only = |these: &[&str], others: &[&str]| -> Vec<String> {
            let missing = these.iter().filter(|line| !others.contains(line));
            missing.map(|line| (*line).to_owned()).collect()
        };
        let (here, there) = (only(&launcher, &compose), only(&compose, &launcher));
        assert!(
            here.is_empty() && there.is_empty(),
            "{section}: only the launcher has {here:#?}, only Compose has {there:#?}"
        );
    }
}

/// The lines of a section but those about addresses.
fn rules<'a>(config: &'a str, section: &str) -> Vec<&'a str> {
    let lines = config.lines().skip_while(|line| *line != section).skip(1);
    let within = lines.take_while(|line| !line.is_empty());
    let own = [
        "#",
        "bind ",
        "server ",
        "server-template ",
        "default-server ",
    ];
    let same = |line: &&str| !own.iter().any(|word| line.starts_with(word));
    within.map(str::trim).filter(same).collect()
}

fn filled(template: &str, user: &User, room: &str) -> String {
    let segments = template.split('/').map(|segment| match segment {
        "{user_id}" => enc(&user.id),
        "{room_id}" | "{room_id_or_alias}" => enc(room),
        "{event_id}" => enc("$event"),
        placeholder if placeholder.starts_with('{') => "x".to_owned(),
        literal => literal.to_owned(),
    });
    segments.collect::<Vec<_>>().join("/")
}

async fn ask(cluster: &Shared, method: &Method, path: &str, user: Option<&User>) -> Response {
    let mut request = http().request(method.clone(), format!("{}{path}", cluster.url()));
    if let Some(user) = user {
        request = request.bearer_auth(&user.token);
    }
    if matches!(*method, Method::POST | Method::PUT) {
        request = request.json(&json!({}));
    }
    request.send().await.unwrap()
}

async fn unrecognized(answer: Response, status: u16, what: &str) {
    has_cors(&answer);
    let found = answer.status().as_u16();
    let body: Value = answer.json().await.unwrap();
    assert_eq!(
        (found, body["errcode"].as_str()),
        (status, Some("M_UNRECOGNIZED")),
        "{what}"
    );
}

/// Client-server API, "Web Browser Clients".
#[track_caller]
fn has_cors(answer: &Response) {
    let header = |name: &str| {
        let value = answer.headers().get(name);
        value
            .map(|value| value.to_str().unwrap())
            .unwrap_or_default()
    };
    assert_eq!(header("access-control-allow-origin"), "*", "{answer:?}");
    let methods = "GET, POST, PUT, DELETE, OPTIONS";
    assert_eq!(header("access-control-allow-methods"), methods);
    let headers = "X-Requested-With, Content-Type, Authorization";
    assert_eq!(header("access-control-allow-headers"), headers);
}
