#![doc = include_str!("../README.md")]

mod consumer;
mod judge;
mod rules;
mod shard;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use ganglion_cluster::follower::Follow;
use ganglion_cluster::owner::{Owners, Start};
use ganglion_cluster::{Cluster, Follower, Join, Retention};
use ganglion_model::{Shard, ShardFamily};
use ganglion_rooms::Rooms;
use ganglion_runtime::{Context, Service};
use ganglion_storage::Database;
use ganglion_stream::Streams;
use ruma::ServerName;
use tokio_util::sync::CancellationToken;

use crate::consumer::Consumers;
use crate::rules::Rules;
use crate::shard::PushShard;

/// The role.
pub struct Pusher {
    context: Context,
    db: Database,
    cluster: Cluster,
    streams: Streams,
    follower: Follower,
    rules: Rules,
    /// Ends the tasks that must outlive the hand-over of the shards.
    stop: CancellationToken,
}

impl Service for Pusher {
    const ROLE: &'static str = "pusher";

    async fn build(context: Context) -> anyhow::Result<Self> {
        let config = &context.config;
        let name = format!("ganglion/{}/{}", Self::ROLE, context.instance);
        let db = Database::open(&config.postgres, &name).map_err(anyhow::Error::msg)?;
        db.check_schema().await.map_err(anyhow::Error::msg)?;
        let streams =
            Streams::open(&config.redis, &config.server.name).map_err(anyhow::Error::msg)?;
        let stop = CancellationToken::new();
        let rules = Rules::new();
        let follow = Follow {
            db: db.clone(),
            streams: streams.clone(),
            shards: Shard::followed().collect(),
            settings: config.cluster.clone(),
            clock: context.clock.clone(),
            stop: stop.clone(),
            tasks: context.tasks.tracker().clone(),
        };
        let follower = Follower::start(follow, Arc::new(rules.clone())).await?;
        let cluster = Cluster::join(Join {
            db: db.clone(),
            role: Self::ROLE,
            instance: context.instance,
            // Nobody calls it.
            rpc_address: None,
            settings: config.cluster.clone(),
            clock: context.clock.clone(),
            stop: stop.clone(),
            tasks: context.tasks.tracker().clone(),
        })
        .await?;
        Ok(Self {
            context,
            db,
            cluster,
            streams,
            follower,
            rules,
            stop,
        })
    }

    async fn run(self) -> anyhow::Result<()> {
        let config = &self.context.config;
        let owners = Owners::start(
            Start {
                cluster: self.cluster.clone(),
                db: self.db.clone(),
                streams: self.streams.clone(),
                family: ShardFamily::Push,
                settings: config.cluster.clone(),
                limits: config.limits.clone(),
                clock: self.context.clock.clone(),
                stop: self.stop.clone(),
                tasks: self.context.tasks.tracker().clone(),
            },
            |_shard| PushShard,
        );
        let retention = Retention {
            db: self.db.clone(),
            clock: self.context.clock.clone(),
            keep: Duration::from_millis(config.cluster.retention_ms),
            owned: vec![owners.owned_changes()],
        };
        let drain = self.context.drain.clone();
        self.context
            .tasks
            .spawn("retention", retention.run(drain.clone()));
        let consumers = Consumers {
            db: self.db.clone(),
            rooms: Rooms::new(config.limits.event_cache_bytes),
            rules: self.rules.clone(),
            server_name: ServerName::parse(config.server.name.as_str()).context("server.name")?,
            follower: self.follower.clone(),
            owners: owners.clone(),
            deadline: Duration::from_millis(config.rpc.deadline_ms),
        };
        self.context
            .tasks
            .spawn("consumers", consumers.run(drain.clone()));
        self.context.readiness.set(true);
        drain.cancelled().await;
        owners.release_all().await;
        self.cluster.leave().await;
        self.stop.cancel();
        Ok(())
    }
}
