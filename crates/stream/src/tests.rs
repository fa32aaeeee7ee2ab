//! Against a Redis of its own.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ganglion_config::Redis;
use ganglion_model::Shard;

use crate::{After, Published, Streams};

struct Server {
    process: Child,
    folder: tempfile::TempDir,
}

impl Server {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let process = Command::new("redis-server")
            .args([
                "--port",
                "0",
                "--save",
                "",
                "--appendonly",
                "no",
                "--unixsocket",
            ])
            .arg(folder.path().join("redis.sock"))
            .arg("--dir")
            .arg(folder.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let server = Self { process, folder };
        let deadline = Instant::now() + Duration::from_secs(10);
        while std::os::unix::net::UnixStream::connect(server.folder.path().join("redis.sock"))
            .is_err()
        {
            assert!(Instant::now() < deadline, "Redis did not start");
            std::thread::yield_now();
        }
        server
    }

    fn streams(&self) -> Streams {
        let socket = self.folder.path().join("redis.sock");
        let config = Redis {
            endpoints: vec![format!("redis+unix://{}", socket.display())],
            password_file: None,
            stream_length: 1000,
            timeout_ms: 1000,
        };
        Streams::open(&config, "example.org").unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

fn shard(number: i64) -> Shard {
    Shard::new(number).unwrap()
}

#[tokio::test]
async fn what_is_published_is_read_once_and_in_order() {
    let server = Server::start();
    let streams = server.streams();
    streams.publish(shard(3), 1, 5, b"one").await.unwrap();
    streams.publish(shard(3), 1, 9, b"two").await.unwrap();
    // Late and double: refused by Redis, no error.
    streams.publish(shard(3), 1, 9, b"again").await.unwrap();
    streams.publish(shard(3), 1, 7, b"late").await.unwrap();
    streams.publish(shard(4), 2, 1, b"other").await.unwrap();

    let mut reader = streams.reader(0);
    let after = |number, position| After {
        shard: shard(number),
        generation: 1,
        position,
    };
    let block = Duration::from_millis(100);
    let mut read = reader
        .read_many(&[after(3, 0), after(4, 100)], block)
        .await
        .unwrap();
    read.sort_by_key(|batch| (batch.shard, batch.last));
    let published = |number, generation, last, batch: &'static [u8]| Published {
        shard: shard(number),
        generation,
        last,
        batch: bytes::Bytes::from_static(batch),
    };
    // A newer generation comes behind every position of an older one.
    let expected = [
        published(3, 1, 5, b"one"),
        published(3, 1, 9, b"two"),
        published(4, 2, 1, b"other"),
    ];
    assert_eq!(read, expected);
    assert_eq!(
        reader.read_many(&[after(3, 5)], block).await.unwrap().len(),
        1
    );
    assert!(
        reader
            .read_many(&[after(3, 9)], block)
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn a_waiting_read_does_not_hold_up_a_publication() {
    let server = Server::start();
    let streams = server.streams();
    let mut reader = streams.reader(0);
    let after = [After {
        shard: shard(1),
        generation: 1,
        position: 0,
    }];
    let waiting = reader.read_many(&after, Duration::from_secs(30));
    let publishing = async {
        // The read is sent first: join polls in order.
        streams.publish(shard(1), 1, 1, b"x").await.unwrap();
    };
    let (read, ()) = tokio::join!(waiting, publishing);
    assert_eq!(read.unwrap().len(), 1);
}

#[tokio::test]
async fn a_redis_that_is_away_is_an_error_in_time() {
    let server = Server::start();
    let streams = server.streams();
    streams.publish(shard(1), 1, 1, b"x").await.unwrap();
    drop(server);
    let started = Instant::now();
    assert!(streams.publish(shard(1), 1, 2, b"y").await.is_err());
    let after = [After {
        shard: shard(1),
        generation: 1,
        position: 0,
    }];
    assert!(
        streams
            .reader(0)
            .read_many(&after, Duration::from_millis(10))
            .await
            .is_err()
    );
    assert!(started.elapsed() < Duration::from_secs(8));
}

#[tokio::test]
async fn buckets_are_shared_and_run_empty_by_themselves() {
    let server = Server::start();
    let (one, other) = (server.streams(), server.streams());
    let (mine, yours) = ([1; 16], [2; 16]);
    let left = one.settle(&[(mine, 400_000), (yours, 0)]).await.unwrap();
    assert_eq!(left, [400_000, 0]);
    let left = other.settle(&[(yours, 5), (mine, 100_000)]).await.unwrap();
    assert!(left[0] <= 5, "{left:?}");
    assert!((300_000..=500_000).contains(&left[1]), "{left:?}");
    // What is given back does not go below empty.
    let left = one.settle(&[(mine, -900_000)]).await.unwrap();
    assert_eq!(left, [0]);
    other.settle(&[(mine, 20_000)]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(40)).await;
    assert_eq!(one.settle(&[(mine, 0)]).await.unwrap(), [0]);
    // More than one call takes.
    let many: Vec<_> = (0..1_200_u128)
        .map(|n| (n.to_be_bytes(), 1_000_000))
        .collect();
    let left = one.settle(&many).await.unwrap();
    assert_eq!(left.len(), many.len());
    assert!(left.iter().all(|us| *us > 0));
}
