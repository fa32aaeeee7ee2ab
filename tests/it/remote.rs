//! A server elsewhere, whose events reach a room by way of the persister's own gRPC, as
//! federation-receiver will hand them over.

use std::path::Path;

use ganglion_config::Config;
use ganglion_event_rules::build::{self, Draft};
use ganglion_event_rules::{RoomVersion, SigningKey, auth};
use ganglion_launcher::Role;
use ganglion_model::{CommandId, Shard};
use ganglion_proto::persister::room_command::Command;
use ganglion_proto::persister::room_writer_client::RoomWriterClient;
use ganglion_proto::persister::{CommandReply, RoomCommand, SubmitPdus, command_reply};
use ganglion_rpc::RpcClients;
use ruma::{CanonicalJsonObject, EventId, OwnedEventId, RoomId, ServerName, UserId};
use serde_json::{Value, json};

use crate::sandbox::{Shared, connect};
use crate::user::{User, enc};

/// The name of the server elsewhere.
pub(crate) const SERVER: &str = "remote.example";

/// A user of the server elsewhere, in one room.
pub(crate) struct Remote<'a> {
    cluster: &'a Shared,
    /// Somebody joined, who shows the room's state.
    pub(crate) witness: &'a User,
    pub(crate) room: String,
    version: RoomVersion,
    pub(crate) id: String,
    key: SigningKey,
}

/// What an event says and where it hangs.
pub(crate) struct Event<'e> {
    pub(crate) kind: &'e str,
    pub(crate) state_key: Option<&'e str>,
    pub(crate) content: Value,
    pub(crate) prev: &'e [String],
    pub(crate) ts: i64,
}

impl<'a> Remote<'a> {
    pub(crate) fn new(
        cluster: &'a Shared,
        witness: &'a User,
        room: &str,
        version: RoomVersion,
        name: &str,
    ) -> Self {
        let key = SigningKey::from_seed("1", [7; 32]).unwrap();
        let (room, id) = (room.to_owned(), format!("@{name}:{SERVER}"));
        Self {
            cluster,
            witness,
            room,
            version,
            id,
            key,
        }
    }

    /// The ids of the room's forward extremities.
    pub(crate) async fn extremities(&self) -> Vec<String> {
        let client = connect(&self.cluster.facts.postgres.primary).await;
        let newest = "SELECT e.event_id, e.extremities, e.shard FROM events e JOIN rooms r \
            USING (shard, room_nid) WHERE r.room_id = $1 AND e.pos IS NOT NULL \
            ORDER BY e.pos DESC LIMIT 1";
        let row = client.query_one(newest, &[&self.room]).await.unwrap();
        let Some(packed) = row.get::<_, Option<Vec<u8>>>(1) else {
            return vec![row.get(0)];
        };
        let numbers: Vec<i64> = packed
            .chunks_exact(8)
            .map(|number| i64::from_be_bytes(number.try_into().unwrap()))
            .collect();
        let shard: i16 = row.get(2);
        let ids = "SELECT event_id FROM events WHERE shard = $1 AND event_nid = ANY($2)";
        let rows = client.query(ids, &[&shard, &numbers]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// An event with the auth events that the room's state of `state` selects; its id and JSON.
    pub(crate) fn build(&self, state: &[Value], event: Event<'_>) -> (String, Vec<u8>) {
        let content: CanonicalJsonObject = serde_json::from_value(event.content).unwrap();
        let raw = serde_json::value::to_raw_value(&content).unwrap();
        let sender = UserId::parse(&self.id).unwrap();
        let keys =
            auth::auth_keys(event.kind, &sender, event.state_key, &raw, self.version).unwrap();
        let in_state = |(kind, key): &(String, String)| {
            state
                .iter()
                .find(|event| event["type"] == **kind && event["state_key"] == **key)
                .map(|event| EventId::parse(event["event_id"].as_str().unwrap()).unwrap())
        };
        let ids = |ids: &[String]| -> Vec<OwnedEventId> {
            ids.iter().map(|id| EventId::parse(id).unwrap()).collect()
        };
        let draft = Draft {
            room_id: Some(RoomId::parse(&self.room).unwrap()),
            sender,
            event_type: event.kind.to_owned(),
            state_key: event.state_key.map(str::to_owned),
            content,
            prev_events: ids(event.prev),
            auth_events: keys.iter().filter_map(in_state).collect(),
            depth: 100,
            origin_server_ts: event.ts,
            redacts: None,
        };
        let mut hashed = build::hash(draft, self.version).unwrap();
        let server = ServerName::parse(SERVER).unwrap();
        build::sign(&mut hashed.object, &server, &self.key, self.version).unwrap();
        let json = serde_json::to_vec(&hashed.object).unwrap();
        (hashed.pdu.event_id.to_string(), json)
    }

    /// The room's state as the witness sees it.
    pub(crate) async fn state(&self) -> Vec<Value> {
        let state = self
            .witness
            .get(&format!("/rooms/{}/state", enc(&self.room)))
            .await
            .ok();
        state.as_array().unwrap().clone()
    }

    /// Builds an event on the room's current state and hands it over; its id.
    pub(crate) async fn send(&self, event: Event<'_>) -> String {
        let state = self.state().await;
        let (id, pdu) = self.build(&state, event);
        self.submit(vec![pdu]).await.unwrap();
        id
    }

    /// Joins a public room at its end.
    pub(crate) async fn join(&self) -> String {
        let prev = self.extremities().await;
        let id = self.id.clone();
        let content = json!({"membership": "join"});
        let kind = "m.room.member";
        self.send(Event {
            kind,
            state_key: Some(&id),
            content,
            prev: &prev,
            ts: now(),
        })
        .await
    }

    /// Hands events over to the owner of the room's shard.
    pub(crate) async fn submit(&self, pdus: Vec<Vec<u8>>) -> Result<String, Value> {
        let command = Command::SubmitPdus(SubmitPdus {
            pdus: pdus.into_iter().map(Into::into).collect(),
        });
        let reply = self.execute(command).await;
        match reply.result.unwrap() {
            command_reply::Result::Done(done) => Ok(done.event_id),
            command_reply::Result::Error(error) => {
                Err(json!({"status": error.status, "errcode": error.errcode}))
            }
        }
    }

    async fn execute(&self, command: Command) -> CommandReply {
        let room_id = RoomId::parse(&self.room).unwrap();
        let shard = Shard::of_room(&room_id).number();
        let client = connect(&self.cluster.facts.postgres.primary).await;
        let owner = "SELECT i.rpc_address FROM shards s JOIN instances i ON i.instance = s.owner \
            WHERE s.shard = $1";
        let address: String = client.query_one(owner, &[&shard]).await.unwrap().get(0);
        let request = RoomCommand {
            room_id: self.room.clone(),
            command_id: CommandId::random().as_bytes().to_vec().into(),
            command: Some(command),
        };
        let rpc = rpc_clients(&self.cluster.cluster.config_of(Role::ClientReader));
        let channel = rpc.channel("event-persister", &address).unwrap();
        RoomWriterClient::new(channel)
            .execute(request)
            .await
            .unwrap()
            .into_inner()
    }
}

/// gRPC as the role of this configuration.
pub(crate) fn rpc_clients(config: &Path) -> RpcClients {
    // Another test may have installed it.
    drop(rustls::crypto::ring::default_provider().install_default());
    let config = Config::load(config, []).unwrap();
    RpcClients::new(&config.rpc).unwrap()
}

/// Milliseconds since the epoch.
pub(crate) fn now() -> i64 {
    ganglion_model::Clock::system().now_ms()
}
