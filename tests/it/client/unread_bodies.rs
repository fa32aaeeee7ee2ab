//! Requests that are answered before their body is read: the connection is good for the next one, or
//! the response says that it is not.

use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::sandbox::shared;
use crate::user::User;

/// A kept connection.
struct Kept(TcpStream);

/// The head of a response in lower case.
struct Head(String);

impl Head {
    #[track_caller]
    fn is(&self, status: u16) {
        let wanted = format!("http/1.1 {status} ");
        assert!(self.0.starts_with(&wanted), "{}", self.0);
    }

    fn closes(&self) -> bool {
        self.0.contains("\r\nconnection: close\r\n")
    }
}

impl Kept {
    async fn to(url: &str) -> Self {
        let address = url.trim_start_matches("http://");
        Self(TcpStream::connect(address).await.unwrap())
    }

    async fn send(&mut self, head: &str, body: &[u8]) {
        let head = format!("{head}\r\nHost: localhost\r\n\r\n");
        self.0.write_all(head.as_bytes()).await.unwrap();
        self.0.write_all(body).await.unwrap();
    }

    /// A whole response; its body, too, must come.
    async fn answer(&mut self) -> Head {
        let answer = tokio::time::timeout(Duration::from_secs(20), self.read());
        answer.await.expect("an answer in time")
    }

    async fn read(&mut self) -> Head {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let byte = self.0.read_u8().await;
            head.push(byte.expect("a response, not the connection's end"));
        }
        let head = String::from_utf8(head).unwrap().to_lowercase();
        let length = head.split("content-length: ").nth(1);
        let length = length.and_then(|rest| rest.split("\r\n").next());
        let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
        self.0.read_exact(&mut body).await.unwrap();
        Head(head)
    }

    /// The next request on the connection is answered.
    async fn goes_on(&mut self) {
        self.send("GET /_matrix/client/versions HTTP/1.1", b"")
            .await;
        self.answer().await.is(200);
    }

    async fn is_over(&mut self) {
        let end = tokio::time::timeout(Duration::from_secs(5), self.0.read_u8()).await;
        end.expect("the connection ends").unwrap_err();
    }
}

/// Through HAProxy, and past it.
async fn addresses() -> Vec<String> {
    let cluster = shared().await;
    let mut addresses = cluster.readers();
    addresses.push(cluster.url().to_owned());
    addresses
}

fn sized(request: &str, bytes: usize) -> String {
    format!("{request} HTTP/1.1\r\nContent-Length: {bytes}")
}

#[tokio::test]
async fn a_refused_upload_leaves_the_connection_usable() {
    let body = vec![b'x'; 100_000];
    for address in addresses().await {
        let mut connection = Kept::to(&address).await;
        for (request, status) in [
            ("POST /_matrix/client/v3/nothing", 404),
            ("DELETE /_matrix/client/v3/sync", 405),
            ("POST /_matrix/client/v3/createRoom", 401),
            ("GET /_matrix/client/versions", 200),
            ("OPTIONS /_matrix/client/v3/createRoom", 204),
        ] {
            connection.send(&sized(request, body.len()), &body).await;
            let head = connection.answer().await;
            head.is(status);
            assert!(!head.closes(), "{request}: {}", head.0);
            connection.goes_on().await;
        }
        // Of unknown length, and in two pieces.
        let chunked = "POST /_matrix/client/v3/nothing HTTP/1.1\r\nTransfer-Encoding: chunked";
        let mut piece = b"c350\r\n".to_vec();
        piece.extend_from_slice(&body[..50_000]);
        piece.extend_from_slice(b"\r\n");
        connection.send(chunked, &piece).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        piece.extend_from_slice(b"0\r\n\r\n");
        connection.0.write_all(&piece).await.unwrap();
        let head = connection.answer().await;
        head.is(404);
        assert!(!head.closes(), "{}", head.0);
        connection.goes_on().await;
    }
}

#[tokio::test]
async fn what_is_too_large_or_does_not_come_ends_the_connection_and_says_so() {
    let cluster = shared().await;
    for reader in cluster.readers() {
        // More than is read of it.
        let mut connection = Kept::to(&reader).await;
        let body = vec![b'x'; 1_100_000];
        let request = sized("POST /_matrix/client/v3/nothing", 30_000_000);
        connection.send(&request, &body).await;
        let head = connection.answer().await;
        head.is(404);
        assert!(head.closes(), "{}", head.0);
        connection.is_over().await;
        // The rest never comes.
        let mut connection = Kept::to(&reader).await;
        let request = sized("POST /_matrix/client/v3/nothing", 1_000);
        connection.send(&request, b"begun").await;
        let head = connection.answer().await;
        head.is(404);
        assert!(head.closes(), "{}", head.0);
        connection.is_over().await;
        // It is asked first, and told no.
        let mut connection = Kept::to(&reader).await;
        let request = sized("POST /_matrix/client/v3/nothing", 1_000);
        let request = format!("{request}\r\nExpect: 100-continue");
        connection.send(&request, b"").await;
        let head = connection.answer().await;
        head.is(404);
        assert!(head.closes(), "{}", head.0);
        connection.is_over().await;
    }
}

#[tokio::test]
async fn a_body_that_is_too_large_for_its_endpoint_is_read_to_its_end_where_it_is_near() {
    let cluster = shared().await;
    let alice: User = cluster.user("alice").await;
    let body = json!({"name": "x".repeat(2_000_000)}).to_string();
    for address in addresses().await {
        let mut connection = Kept::to(&address).await;
        let request = sized("POST /_matrix/client/v3/createRoom", body.len());
        let request = format!("{request}\r\nAuthorization: Bearer {}", alice.token);
        connection.send(&request, body.as_bytes()).await;
        let head = connection.answer().await;
        head.is(413);
        assert!(!head.closes(), "{}", head.0);
        connection.goes_on().await;
    }
}
