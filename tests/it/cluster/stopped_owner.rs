//! An owner that is stopped, loses its leases, and wakes up without knowing it.

use std::time::Duration;

use ganglion_config::Config;
use ganglion_launcher::Role;
use ganglion_model::CommandId;
use ganglion_proto::persister::room_writer_client::RoomWriterClient;
use ganglion_proto::persister::{RoomCommand, SendEvent, room_command};
use ganglion_rpc::{Channel, RpcClients, with_deadline};
use nix::sys::signal::Signal;
use tokio::time::Instant;
use tokio_postgres::Client;

use super::load::Load;
use super::owners::{owner_of, process, rooms_of_all, settled, shares};
use crate::sandbox::{Sandbox, connect, eventually};
use crate::user::User;

const PATIENCE: Duration = Duration::from_secs(3);
/// A lease (2 s), the new owner's start (1 s), and what two busy cores add.
const LONGEST_GAP: Duration = Duration::from_secs(6);
const NAME: &str = "event-persister-1";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_owner_is_replaced_and_writes_nothing_when_it_wakes() {
    let sandbox = Sandbox::start("stopped-owner").await;
    let db = connect(&sandbox.cluster.facts().postgres.primary).await;
    let mut members = Vec::new();
    for name in ["alice", "bob", "carol"] {
        members.push(sandbox.user(name).await);
    }
    let alice = members[0].clone();
    let rooms = rooms_of_all(&db, &sandbox.cluster, &alice, 2).await;
    let sleeper = process(&sandbox.cluster, NAME);
    let me = sleeper.instance.to_string();
    let mut its_room = None;
    for room in &rooms {
        if owner_of(&db, room).await.as_ref() == Some(&me) {
            its_room = Some(room.clone());
        }
    }
    let its_room = its_room.unwrap();
    let config = Config::load(&sandbox.cluster.config_of(Role::ClientReader), []).unwrap();
    let channel = RpcClients::new(&config.rpc)
        .unwrap()
        .channel("event-persister", &sleeper.rpc_address.unwrap().to_string())
        .unwrap();
    // The connection stands before the process is stopped, so that a command can lie in its socket.
    send(channel.clone(), &its_room, &alice, "before")
        .await
        .unwrap();
    let load = Load::start(members, rooms, PATIENCE).await;
    load.goes_on(3, LONGEST_GAP).await;

    let stopped = Instant::now();
    sandbox.cluster.signal(NAME, Signal::SIGSTOP).unwrap();
    let late = tokio::spawn(late(channel.clone(), its_room.clone(), alice.clone()));
    load.goes_on(3, LONGEST_GAP * 3).await;
    let gap = load.longest_gap(stopped);
    println!("{NAME} stopped: nothing acknowledged in a room for {gap:?} at most");
    assert!(gap < LONGEST_GAP, "{gap:?}");
    let all_taken = async || !shares(&db).await.keys().any(|(_, owner)| *owner == me);
    assert!(eventually(LONGEST_GAP, all_taken).await);

    sandbox.cluster.signal(NAME, Signal::SIGCONT).unwrap();
    let refused = late.await.unwrap();
    println!("the command that lay in its socket: {refused}");
    // The same process goes on, with as many shards as the other.
    settled(&db, &sandbox.cluster).await;
    assert_eq!(process(&sandbox.cluster, NAME).instance, sleeper.instance);
    load.goes_on(3, LONGEST_GAP).await;
    load.end().await;
    never_back(&db).await;
    assert_eq!(stored(&db, "before").await, 1);
    assert_eq!(stored(&db, "late").await, 0);
    sandbox.end().await;
}

async fn late(channel: Channel, room: String, alice: User) -> tonic::Status {
    let answer = send(channel, &room, &alice, "late").await;
    answer.expect_err("a command was executed by who had lost the lease")
}

/// A command straight to one instance.
async fn send(
    channel: Channel,
    room: &str,
    sender: &User,
    text: &str,
) -> Result<(), tonic::Status> {
    let command = RoomCommand {
        room_id: room.to_owned(),
        command_id: CommandId::random().as_bytes().to_vec().into(),
        command: Some(room_command::Command::SendEvent(SendEvent {
            sender: sender.id.clone(),
            r#type: "org.example.straight".to_owned(),
            state_key: None,
            content: format!(r#"{{"body":"{text}"}}"#).into_bytes().into(),
            device_id: None,
            txn_id: None,
        })),
    };
    let request = with_deadline(command, Duration::from_secs(20));
    RoomWriterClient::new(channel)
        .execute(request)
        .await
        .map(drop)
}

async fn stored(db: &Client, text: &str) -> i64 {
    let query = "SELECT count(*) FROM events WHERE content = $1";
    let content = format!(r#"{{"body":"{text}"}}"#).into_bytes();
    db.query_one(query, &[&content]).await.unwrap().get(0)
}

/// Batches follow each other without a hole, none is written under an older epoch than the one
/// before it, and every event lies in one.
async fn never_back(db: &Client) {
    let query = "SELECT shard, first_pos, last_pos, epoch FROM batches ORDER BY shard, first_pos";
    let mut before: Option<(i16, i64, i64)> = None;
    for row in db.query(query, &[]).await.unwrap() {
        let (shard, first, last, epoch): (i16, i64, i64, i64) =
            (row.get(0), row.get(1), row.get(2), row.get(3));
        let (head, old_epoch) = match before {
            Some((of, head, epoch)) if of == shard => (head, epoch),
            _ => (0, 0),
        };
        assert_eq!(first, head + 1, "shard {shard}");
        assert!(
            last >= first && epoch >= old_epoch,
            "shard {shard}, position {first}"
        );
        before = Some((shard, last, epoch));
    }
    let query = "SELECT count(*), count(DISTINCT (e.shard, e.pos)), count(b.shard) FROM events e \
        LEFT JOIN batches b ON b.shard = e.shard AND e.pos BETWEEN b.first_pos AND b.last_pos \
        WHERE e.pos > 0";
    let row = db.query_one(query, &[]).await.unwrap();
    let [events, positions, batched]: [i64; 3] = [row.get(0), row.get(1), row.get(2)];
    assert!(events > 0);
    assert_eq!((positions, batched), (events, events));
}
