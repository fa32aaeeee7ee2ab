//! Redis is a convenience.

use std::time::Duration;

use ganglion_launcher::{LocalCluster, Store};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::load::Load;
use super::owners::rooms_of_all;
use crate::sandbox::{Sandbox, connect, eventually, metric};
use crate::user::{User, texts};

const PATIENCE: Duration = Duration::from_secs(3);
const A_WHILE: Duration = Duration::from_secs(15);
/// Without Redis readers compare with PostgreSQL ten times a second; the rest is for busy cores.
const SLOWEST: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis_only_time_is_lost() {
    let mut sandbox = Sandbox::start("redis").await;
    let db = connect(&sandbox.cluster.facts().postgres.primary).await;
    let mut members = Vec::new();
    for name in ["alice", "bob", "carol"] {
        members.push(sandbox.user(name).await);
    }
    let rooms = rooms_of_all(&db, &sandbox.cluster, &members[0], 1).await;
    let load = Load::start(members.clone(), rooms.clone(), PATIENCE).await;
    load.goes_on(3, A_WHILE).await;

    let killed = Instant::now();
    sandbox.cluster.kill_store(Store::Redis).await.unwrap();
    // client-reader and pusher read streams, two of each.
    assert!(eventually(A_WHILE, async || degraded(&sandbox.cluster).await == 4.0).await);
    load.goes_on(30, A_WHILE).await;
    load.catches_up(A_WHILE).await;
    let (acknowledged, delivered) = load.slowest(killed);
    println!("without Redis: acknowledged within {acknowledged:?}, delivered within {delivered:?}");
    assert!(acknowledged < SLOWEST && delivered < SLOWEST);

    sandbox.cluster.start_store(Store::Redis).await.unwrap();
    assert!(eventually(A_WHILE, async || degraded(&sandbox.cluster).await == 0.0).await);
    load.goes_on(10, A_WHILE).await;
    let outcome = load.end().await;
    assert_eq!(outcome.failures, Vec::<String>::new());

    flushed_while_quiet(&sandbox.cluster, &members, &rooms[0]).await;
    sandbox.end().await;
}

/// How many readers read PostgreSQL because Redis is away.
async fn degraded(cluster: &LocalCluster) -> f64 {
    let mut sum = 0.0;
    for process in cluster.facts().processes {
        sum += metric(&process.admin_url, "ganglion_follower_degraded", "").await;
    }
    sum
}

/// The streams are gone, and nothing comes that would show the gap: the next message arrives all the
/// same, at once.
async fn flushed_while_quiet(cluster: &LocalCluster, members: &[User], room: &str) {
    let (alice, bob) = (&members[0], &members[1]);
    for round in 0..3 {
        let before = bob.sync(None, "").await;
        let since = before["next_batch"].as_str().unwrap();
        flush(&cluster.facts().redis).await;
        let text = format!("after the flush {round}");
        let began = Instant::now();
        let query = format!("/sync?timeout=10000&since={since}");
        let (woken, _) = tokio::join!(bob.get(&query), alice.say(room, &text));
        let woken = woken.ok();
        let timeline = &woken["rooms"]["join"][room]["timeline"]["events"];
        assert_eq!(texts(timeline), [text], "{woken}");
        let took = began.elapsed();
        println!("after FLUSHALL: delivered within {took:?}");
        assert!(took < SLOWEST, "{took:?}");
    }
}

async fn flush(url: &str) {
    let (password, address) = url
        .strip_prefix("redis://:")
        .and_then(|rest| rest.split_once('@'))
        .unwrap();
    let mut redis = TcpStream::connect(address).await.unwrap();
    let commands = format!("AUTH {password}\r\nFLUSHALL\r\nQUIT\r\n");
    redis.write_all(commands.as_bytes()).await.unwrap();
    let mut answers = String::new();
    redis.read_to_string(&mut answers).await.unwrap();
    assert_eq!(answers, "+OK\r\n+OK\r\n+OK\r\n");
}
