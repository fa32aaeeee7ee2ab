#![doc = include_str!("../README.md")]

mod build_create;
mod grpc;
mod ids;
mod rooms;
mod shared;
mod users;
mod words;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use ganglion_cluster::owner::{Owners, Start};
use ganglion_cluster::{Cluster, Commands, Join, Retention};
use ganglion_event_rules::SigningKey;
use ganglion_model::ShardFamily;
use ganglion_proto::persister::room_writer_server::RoomWriterServer;
use ganglion_proto::persister::user_writer_server::UserWriterServer;
use ganglion_rpc::{RpcClients, RpcServer};
use ganglion_runtime::{Context, Service};
use ganglion_storage::Database;
use ganglion_stream::Streams;
use ruma::ServerName;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::ids::Ids;
use crate::rooms::RoomShard;
use crate::shared::Shared;
use crate::users::UserShard;
use crate::users::jobs::Jobs;
use crate::words::Words;

/// The largest message that is read: a federation transaction's events, or a room's first batch.
const MAX_MESSAGE_BYTES: usize = 16 * 1024 * 1024;

/// The role.
pub struct EventPersister {
    context: Context,
    shared: Arc<Shared>,
    streams: Streams,
    clients: RpcClients,
    server: RpcServer,
    cluster: Cluster,
    /// Ends the tasks that must outlive the hand-over of the shards.
    stop: CancellationToken,
}

impl Service for EventPersister {
    const ROLE: &'static str = "event-persister";

    async fn build(context: Context) -> anyhow::Result<Self> {
        let config = &context.config;
        let name = format!("ganglion/{}/{}", Self::ROLE, context.instance);
        let db = Database::open(&config.postgres, &name).map_err(anyhow::Error::msg)?;
        db.check_schema().await.map_err(anyhow::Error::msg)?;
        let streams =
            Streams::open(&config.redis, &config.server.name).map_err(anyhow::Error::msg)?;
        let server = RpcServer::bind(&config.rpc)
            .await
            .map_err(anyhow::Error::msg)?;
        let bound = server.address().map_err(anyhow::Error::msg)?;
        context.addresses.set_rpc(bound);
        let stop = CancellationToken::new();
        let cluster = Cluster::join(Join {
            db: db.clone(),
            role: Self::ROLE,
            instance: context.instance,
            rpc_address: Some(
                config
                    .rpc
                    .advertise
                    .clone()
                    .unwrap_or_else(|| bound.to_string()),
            ),
            settings: config.cluster.clone(),
            clock: context.clock.clone(),
            stop: stop.clone(),
            tasks: context.tasks.tracker().clone(),
        })
        .await?;
        let shared = Arc::new(Shared {
            words: Words::new(db.clone()),
            db,
            ids: Ids::default(),
            server_name: ServerName::parse(config.server.name.as_str()).context("server.name")?,
            signing_key: signing_key(&context)?,
            limits: config.limits.clone(),
            clock: context.clock.clone(),
            default_rules: Default::default(),
        });
        let clients = RpcClients::new(&config.rpc).map_err(anyhow::Error::msg)?;
        Ok(Self {
            context,
            shared,
            streams,
            clients,
            server,
            cluster,
            stop,
        })
    }

    async fn run(self) -> anyhow::Result<()> {
        let jobs = Arc::new(Notify::new());
        let rooms = self.room_owners(jobs.clone());
        let users = self.user_owners(jobs.clone());
        let deadline = Duration::from_millis(self.context.config.rpc.deadline_ms);
        let commands = Commands::new(self.cluster.clone(), self.clients.clone(), deadline);
        let runner = Jobs::new(
            self.shared.db.clone(),
            commands,
            [rooms.owned_changes(), users.owned_changes()],
            jobs,
        );
        self.context
            .tasks
            .spawn("jobs", runner.run(self.context.drain.clone()));

        let retention = Retention {
            db: self.shared.db.clone(),
            clock: self.context.clock.clone(),
            keep: Duration::from_millis(self.context.config.cluster.retention_ms),
            owned: vec![rooms.owned_changes(), users.owned_changes()],
        };
        let drain = self.context.drain.clone();
        self.context.tasks.spawn("retention", retention.run(drain));

        let room_writer = grpc::Rooms {
            shared: self.shared.clone(),
            owners: rooms.clone(),
        };
        let user_writer = grpc::Users {
            owners: users.clone(),
        };
        let mut routes = tonic::service::Routes::builder();
        routes
            .add_service(
                RoomWriterServer::new(room_writer).max_decoding_message_size(MAX_MESSAGE_BYTES),
            )
            .add_service(
                UserWriterServer::new(user_writer).max_decoding_message_size(MAX_MESSAGE_BYTES),
            );
        let released = CancellationToken::new();
        let serving = self
            .server
            .serve(routes.routes(), released.clone().cancelled_owned());
        self.context.readiness.set(true);
        let handing_over = async {
            self.context.drain.cancelled().await;
            tokio::join!(rooms.release_all(), users.release_all());
            released.cancel();
        };
        let (served, ()) = tokio::join!(serving, handing_over);
        self.cluster.leave().await;
        self.stop.cancel();
        served.map_err(anyhow::Error::msg)
    }
}

impl EventPersister {
    fn room_owners(&self, jobs: Arc<Notify>) -> Owners<RoomShard> {
        let shared = self.shared.clone();
        Owners::start(self.start(ShardFamily::Room), move |shard| {
            RoomShard::new(shared.clone(), shard, jobs.clone())
        })
    }

    fn user_owners(&self, jobs: Arc<Notify>) -> Owners<UserShard> {
        let shared = self.shared.clone();
        Owners::start(self.start(ShardFamily::User), move |shard| {
            UserShard::new(shared.clone(), shard, jobs.clone())
        })
    }

    fn start(&self, family: ShardFamily) -> Start {
        Start {
            cluster: self.cluster.clone(),
            db: self.shared.db.clone(),
            streams: self.streams.clone(),
            family,
            settings: self.context.config.cluster.clone(),
            limits: self.context.config.limits.clone(),
            clock: self.context.clock.clone(),
            stop: self.stop.clone(),
            tasks: self.context.tasks.tracker().clone(),
        }
    }
}

fn signing_key(context: &Context) -> anyhow::Result<SigningKey> {
    let path = context.config.secrets.signing_key_file.as_ref().ok_or_else(|| {
        anyhow!("secrets.signing_key_file: the event-persister needs it; `ganglion keys generate` makes one")
    })?;
    let line = std::fs::read_to_string(path)
        .with_context(|| format!("secrets.signing_key_file {}", path.display()))?;
    SigningKey::parse(line.trim())
        .with_context(|| format!("secrets.signing_key_file {}", path.display()))
}
