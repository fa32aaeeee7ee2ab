//! A user of the homeserver.

use std::time::Duration;

use anyhow::{Context as _, bail};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Method;
use serde_json::{Value, json};

/// One account and its device.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    url: String,
    token: String,
    pub(crate) user_id: String,
}

impl Client {
    /// Makes an account with a random name.
    pub(crate) async fn register(url: &str) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder()
            .timeout(Duration::from_secs(60))
            .build()?;
        let mut client = Self {
            http,
            url: url.to_owned(),
            token: String::new(),
            user_id: String::new(),
        };
        let name = format!("load-{:016x}", rand::random::<u64>());
        let body = json!({
            "username": name, "password": "a long password", "auth": {"type": "m.login.dummy"},
        });
        let made = client.call(Method::POST, "/register", Some(&body)).await?;
        client.token = text(&made, "access_token")?;
        client.user_id = text(&made, "user_id")?;
        Ok(client)
    }

    /// A request below `/_matrix/client/v3`; the body of a 200.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Value> {
        let url = format!("{}/_matrix/client/v3{path}", self.url);
        let mut request = self.http.request(method, url).bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await?;
        let status = response.status();
        let body: Value = response.json().await?;
        if !status.is_success() {
            bail!("{path}: {status} {body}");
        }
        Ok(body)
    }

    /// Makes a public room.
    pub(crate) async fn create_room(&self) -> anyhow::Result<String> {
        let body = json!({"preset": "public_chat"});
        text(
            &self.call(Method::POST, "/createRoom", Some(&body)).await?,
            "room_id",
        )
    }

    pub(crate) async fn join(&self, room: &str) -> anyhow::Result<()> {
        self.call(
            Method::POST,
            &format!("/join/{}", enc(room)),
            Some(&json!({})),
        )
        .await?;
        Ok(())
    }

    /// Sends a message; the event's id.
    pub(crate) async fn send(&self, room: &str, txn: &str, body: &str) -> anyhow::Result<String> {
        let path = format!("/rooms/{}/send/m.room.message/{txn}", enc(room));
        let content = json!({"msgtype": "m.text", "body": body});
        text(
            &self.call(Method::PUT, &path, Some(&content)).await?,
            "event_id",
        )
    }

    pub(crate) async fn sync(&self, since: Option<&str>, timeout_ms: u32) -> anyhow::Result<Value> {
        let since = since
            .map(|token| format!("&since={token}"))
            .unwrap_or_default();
        self.call(
            Method::GET,
            &format!("/sync?timeout={timeout_ms}{since}"),
            None,
        )
        .await
    }

    /// The ids of all message events of a room, oldest first.
    pub(crate) async fn messages(&self, room: &str) -> anyhow::Result<Vec<String>> {
        let mut found = Vec::new();
        let mut from = String::new();
        loop {
            let path = format!("/rooms/{}/messages?dir=b&limit=500{from}", enc(room));
            let page = self.call(Method::GET, &path, None).await?;
            for event in page["chunk"].as_array().context("no chunk")? {
                if event["type"] == "m.room.message" {
                    found.push(text(event, "event_id")?);
                }
            }
            let Some(end) = page["end"].as_str() else {
                break;
            };
            from = format!("&from={end}");
        }
        found.reverse();
        Ok(found)
    }
}

/// A text of an answer.
pub(crate) fn text(value: &Value, key: &str) -> anyhow::Result<String> {
    value[key]
        .as_str()
        .map(str::to_owned)
        .with_context(|| format!("no `{key}` in {value}"))
}

fn enc(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}
