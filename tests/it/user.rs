//! A user who makes requests.

use std::sync::OnceLock;
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Method;
use serde_json::{Value, json};

/// The password of every test user.
pub(crate) const PASSWORD: &str = "correct horse battery";

/// The one HTTP client of all tests.
pub(crate) fn http() -> &'static reqwest::Client {
    static HTTP: OnceLock<reqwest::Client> = OnceLock::new();
    HTTP.get_or_init(|| {
        // Another test may have installed it.
        drop(rustls::crypto::ring::default_provider().install_default());
        reqwest::Client::builder()
            .timeout(Duration::from_secs(60))
            // A runtime of each test: a connection of one must not be used in another.
            .pool_max_idle_per_host(0)
            .build()
            .unwrap()
    })
}

/// An answer.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

impl Reply {
    /// The body of a 200.
    #[track_caller]
    pub(crate) fn ok(self) -> Value {
        assert_eq!(self.status, 200, "{}", self.body);
        self.body
    }

    /// Asserts a Matrix error.
    #[track_caller]
    pub(crate) fn fails(&self, status: u16, errcode: &str) {
        let found = (
            self.status,
            self.body["errcode"].as_str().unwrap_or_default(),
        );
        assert_eq!(found, (status, errcode), "{}", self.body);
    }
}

/// A user with one device, and where its requests go.
#[derive(Debug, Clone)]
pub(crate) struct User {
    pub(crate) url: String,
    pub(crate) id: String,
    pub(crate) device: String,
    pub(crate) token: String,
}

impl User {
    /// A new account with the password [`PASSWORD`].
    pub(crate) async fn register(url: &str, name: &str) -> Self {
        let body = json!({
            "username": name, "password": PASSWORD, "auth": {"type": "m.login.dummy"},
        });
        let reply = request(
            Method::POST,
            url,
            "/_matrix/client/v3/register",
            None,
            Some(&body),
        );
        Self::of(url, &reply.await.ok())
    }

    /// Another device of an account.
    pub(crate) async fn login(url: &str, user_id: &str) -> Self {
        let body = json!({
            "type": "m.login.password",
            "identifier": {"type": "m.id.user", "user": user_id},
            "password": PASSWORD,
        });
        let reply = request(
            Method::POST,
            url,
            "/_matrix/client/v3/login",
            None,
            Some(&body),
        );
        Self::of(url, &reply.await.ok())
    }

    fn of(url: &str, login: &Value) -> Self {
        let text = |key: &str| login[key].as_str().unwrap().to_owned();
        Self {
            url: url.to_owned(),
            id: text("user_id"),
            device: text("device_id"),
            token: text("access_token"),
        }
    }

    /// The same user by way of another address.
    pub(crate) fn at(&self, url: &str) -> Self {
        Self {
            url: url.to_owned(),
            ..self.clone()
        }
    }

    /// A request below `/_matrix/client/v3`.
    pub(crate) async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Reply {
        let path = format!("/_matrix/client/v3{path}");
        request(method, &self.url, &path, Some(&self.token), body).await
    }

    /// The same for who goes on when there is no answer: the body of a 200, else why not.
    pub(crate) async fn attempt(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        patience: Duration,
    ) -> Result<Value, String> {
        let path = format!("/_matrix/client/v3{path}");
        let place = (self.url.as_str(), path.as_str());
        let reply = try_request(method, place, Some(&self.token), body, patience).await?;
        if reply.status == 200 {
            Ok(reply.body)
        } else {
            Err(format!("{}: {}", reply.status, reply.body))
        }
    }

    /// A request below `/_matrix/client/v1`.
    pub(crate) async fn get_v1(&self, path: &str) -> Reply {
        let path = format!("/_matrix/client/v1{path}");
        request(Method::GET, &self.url, &path, Some(&self.token), None).await
    }

    /// A request below `/_matrix/client/v1`.
    pub(crate) async fn call_v1(&self, method: Method, path: &str, body: &Value) -> Reply {
        let path = format!("/_matrix/client/v1{path}");
        request(method, &self.url, &path, Some(&self.token), Some(body)).await
    }

    /// Sends a message with this content; the event's id.
    pub(crate) async fn send_content(&self, room: &str, event_type: &str, body: Value) -> String {
        let txn = format!("{:016x}", rand::random::<u64>());
        let path = format!("/rooms/{}/send/{event_type}/{txn}", enc(room));
        let sent = self.put(&path, body).await.ok();
        sent["event_id"].as_str().unwrap().to_owned()
    }

    /// Sends a message that relates to another; the event's id.
    pub(crate) async fn relate(&self, room: &str, kind: &str, parent: &str, text: &str) -> String {
        let mut body = json!({
            "msgtype": "m.text", "body": text,
            "m.relates_to": {"rel_type": kind, "event_id": parent},
        });
        if kind == "m.replace" {
            body["m.new_content"] = json!({"msgtype": "m.text", "body": text});
        }
        self.send_content(room, "m.room.message", body).await
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.call(Method::GET, path, None).await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Reply {
        self.call(Method::PUT, path, Some(&body)).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Reply {
        self.call(Method::POST, path, Some(&body)).await
    }

    /// Makes a room; its id.
    pub(crate) async fn create_room(&self, body: Value) -> String {
        let room = self.post("/createRoom", body).await.ok();
        room["room_id"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn join(&self, room: &str) -> Reply {
        self.post(&format!("/join/{}", enc(room)), json!({})).await
    }

    /// Sends a text message; the reply.
    pub(crate) async fn send(&self, room: &str, txn: &str, text: &str) -> Reply {
        let path = format!("/rooms/{}/send/m.room.message/{}", enc(room), enc(txn));
        self.put(&path, json!({"msgtype": "m.text", "body": text}))
            .await
    }

    /// Sends a text message that is taken; the event's id.
    pub(crate) async fn say(&self, room: &str, text: &str) -> String {
        let txn = format!("{:016x}", rand::random::<u64>());
        let sent = self.send(room, &txn, text).await.ok();
        sent["event_id"].as_str().unwrap().to_owned()
    }

    /// `/sync` with further query parameters, e.g. `&timeout=1000`.
    pub(crate) async fn sync(&self, since: Option<&str>, query: &str) -> Value {
        let since = since
            .map(|token| format!("&since={token}"))
            .unwrap_or_default();
        self.get(&format!("/sync?timeout=0{since}{query}"))
            .await
            .ok()
    }
}

/// Any request.
pub(crate) async fn request(
    method: Method,
    url: &str,
    path: &str,
    token: Option<&str>,
    body: Option<&Value>,
) -> Reply {
    let patience = Duration::from_secs(60);
    let reply = try_request(method, (url, path), token, body, patience).await;
    reply.unwrap()
}

/// Any request, for who goes on when it finds no way: why there is no answer.
pub(crate) async fn try_request(
    method: Method,
    (url, path): (&str, &str),
    token: Option<&str>,
    body: Option<&Value>,
    patience: Duration,
) -> Result<Reply, String> {
    let mut request = http()
        .request(method, format!("{url}{path}"))
        .timeout(patience);
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    if let Some(body) = body {
        request = request.json(body);
    }
    let response = request.send().await.map_err(|error| format!("{error:?}"))?;
    let status = response.status().as_u16();
    let bytes = response
        .bytes()
        .await
        .map_err(|error| format!("{error:?}"))?;
    let body = if bytes.is_empty() {
        Value::Null
    } else {
        serde_json::from_slice(&bytes).map_err(|error| format!("{status}: {error}"))?
    };
    Ok(Reply { status, body })
}

/// A part of a path.
pub(crate) fn enc(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// The texts of the messages in a list of events.
pub(crate) fn texts(events: &Value) -> Vec<String> {
    let events = events.as_array().map(Vec::as_slice).unwrap_or_default();
    events
        .iter()
        .filter(|event| event["type"] == "m.room.message")
        .filter_map(|event| event["content"]["body"].as_str().map(str::to_owned))
        .collect()
}
