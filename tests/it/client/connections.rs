//! Requests one after another on one connection, written by hand: HTTP libraries hide what they repeat.

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use crate::sandbox::shared;

/// A client's connection that is used as long as it is open.
struct Connection {
    stream: BufReader<TcpStream>,
}

struct Answer {
    status: u16,
    closes: bool,
}

impl Connection {
    async fn to(url: &str) -> Self {
        let address = url.strip_prefix("http://").unwrap();
        let stream = BufReader::new(TcpStream::connect(address).await.unwrap());
        Self { stream }
    }

    /// Sends the whole request before it reads the answer.
    async fn call(&mut self, method: &str, path: &str, body: &[u8]) -> Answer {
        let length = body.len();
        let head =
            format!("{method} {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
        self.stream.write_all(head.as_bytes()).await.unwrap();
        self.stream.write_all(body).await.unwrap();
        self.answer().await
    }

    async fn answer(&mut self) -> Answer {
        let (mut status, mut closes, mut length) = (0, false, 0);
        loop {
            let mut line = String::new();
            let read = self.stream.read_line(&mut line).await.unwrap();
            assert!(read > 0, "the connection was closed without a word");
            let line = line.trim_end().to_ascii_lowercase();
            if let Some(rest) = line.strip_prefix("http/1.1 ") {
                let code = rest.split(' ').next().unwrap();
                status = code.parse().unwrap();
            } else if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.parse().unwrap();
            } else if line == "connection: close" {
                closes = true;
            } else if line.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).await.unwrap();
        Answer { status, closes }
    }
}

#[tokio::test]
async fn a_request_refused_with_its_body_unread_does_not_cost_the_next() {
    let cluster = shared().await;
    let mut urls = cluster.readers();
    urls.push(cluster.url().to_owned());
    let body = vec![b' '; 700_000];
    for url in urls {
        let mut connection = Connection::to(&url).await;
        for (method, path, status) in [
            ("POST", "/_matrix/no/such/path", 404),
            ("PUT", "/_matrix/client/v3/login", 405),
            ("POST", "/_matrix/client/v3/createRoom", 401),
            ("GET", "/_matrix/client/versions", 200),
        ] {
            for size in [0, 100, body.len()] {
                let answer = connection.call(method, path, &body[..size]).await;
                assert_eq!(answer.status, status, "{url} {path} {size}");
                assert!(!answer.closes, "{url} {path} {size}");
            }
        }
    }
}

#[tokio::test]
async fn a_body_that_is_not_read_to_its_end_ends_the_connection_aloud() {
    for url in shared().await.readers() {
        let mut connection = Connection::to(&url).await;
        // More than is ever read; and what the client has not been asked for.
        for length in [
            "Content-Length: 900000000",
            "Content-Length: 9\r\nExpect: 100-continue",
        ] {
            let head =
                format!("POST /_matrix/no/such/path HTTP/1.1\r\nHost: a\r\n{length}\r\n\r\n");
            connection.stream.write_all(head.as_bytes()).await.unwrap();
            let answer = connection.answer().await;
            assert_eq!((answer.status, answer.closes), (404, true), "{length}");
            connection = Connection::to(&url).await;
        }
    }
}
