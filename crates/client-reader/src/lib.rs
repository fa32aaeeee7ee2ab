#![doc = include_str!("../README.md")]

mod applied;
mod caller;
mod limits;
mod routes;
mod state;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::middleware::from_fn_with_state;
use ganglion_accounts::passwords::Passwords;
use ganglion_accounts::{Accounts, Parts, TokenCache};
use ganglion_cluster::follower::Follow;
use ganglion_cluster::rates::Rates;
use ganglion_cluster::{Cluster, Commands, Follower, Join};
use ganglion_http_kit::{Limits, layers, serve};
use ganglion_model::{ServerSecret, Shard};
use ganglion_rooms::Rooms;
use ganglion_rpc::RpcClients;
use ganglion_runtime::{Context, Service};
use ganglion_storage::Database;
use ganglion_stream::Streams;
use ganglion_sync::{Presence, PresenceParts, SyncEngine, SyncParts, Tail, Typing};
use ruma::ServerName;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::applied::Applied;
use crate::state::{AppState, Inner};

/// How long a request waits for this process to have applied the log before it asks the database.
const PATIENCE: Duration = Duration::from_millis(100);

/// The role.
pub struct ClientReader {
    context: Context,
    app: AppState,
    listener: TcpListener,
    cluster: Cluster,
    /// Ends the tasks that must outlive the last request.
    stop: CancellationToken,
}

impl Service for ClientReader {
    const ROLE: &'static str = "client-reader";

    fn routes() -> Vec<(String, String)> {
        let table = routes::all().table().into_iter();
        table
            .map(|(method, path)| (method.to_string(), path))
            .collect()
    }

    async fn build(context: Context) -> anyhow::Result<Self> {
        let config = &context.config;
        let name = format!("ganglion/{}/{}", Self::ROLE, context.instance);
        let db = Database::open(&config.postgres, &name).map_err(anyhow::Error::msg)?;
        db.check_schema().await.map_err(anyhow::Error::msg)?;
        let listener = TcpListener::bind(config.http.listen)
            .await
            .with_context(|| format!("http.listen {}", config.http.listen))?;
        context.addresses.set_http(listener.local_addr()?);
        let stop = CancellationToken::new();
        let cluster = Cluster::join(Join {
            db: db.clone(),
            role: Self::ROLE,
            instance: context.instance,
            rpc_address: None,
            settings: config.cluster.clone(),
            clock: context.clock.clone(),
            stop: stop.clone(),
            tasks: context.tasks.tracker().clone(),
        })
        .await?;
        let app = app(&context, db, cluster.clone(), &stop).await?;
        Ok(Self {
            context,
            app,
            listener,
            cluster,
            stop,
        })
    }

    async fn run(self) -> anyhow::Result<()> {
        let config = &self.context.config;
        let routes = routes::all();
        let limits = Limits::new(&config.http, routes.long_polls());
        let counted = from_fn_with_state(self.app.clone(), limits::counted);
        let router = routes.into_router().layer(counted).with_state(self.app);
        let router = layers(router, limits);
        let delay = Duration::from_millis(config.cluster.drain_delay_ms);
        self.context.readiness.set(true);
        serve(self.listener, router, self.context.drain.clone(), delay).await;
        self.cluster.leave().await;
        self.stop.cancel();
        Ok(())
    }
}

/// Everything that handlers share.
async fn app(
    context: &Context,
    db: Database,
    cluster: Cluster,
    stop: &CancellationToken,
) -> anyhow::Result<AppState> {
    let config = &context.config;
    let server_name = ServerName::parse(config.server.name.as_str()).context("server.name")?;
    let path = &config.secrets.server_secret_file;
    let secret = std::fs::read(path)
        .with_context(|| format!("secrets.server_secret_file {}", path.display()))?;
    let rooms = Rooms::new(config.limits.event_cache_bytes);
    let streams = Streams::open(&config.redis, &config.server.name).map_err(anyhow::Error::msg)?;
    let rpc = RpcClients::new(&config.rpc).map_err(anyhow::Error::msg)?;
    let deadline = Duration::from_millis(config.rpc.deadline_ms);
    let commands = Commands::new(cluster, rpc, deadline);
    let (tail, typing, presence) = tail(context, &db, &commands, &streams, (&rooms, stop));
    let tokens = Arc::new(TokenCache::new(config.limits.token_cache));
    let rates = Rates::new(streams.clone());
    let tasks = context.tasks.tracker();
    tasks.spawn(rates.clone().run(stop.clone()));
    let follow = Follow {
        db: db.clone(),
        streams,
        shards: Shard::followed().collect(),
        settings: config.cluster.clone(),
        clock: context.clock.clone(),
        stop: stop.clone(),
        tasks: tasks.clone(),
    };
    let applied = Applied {
        tail: tail.clone(),
        tokens: tokens.clone(),
    };
    let follower = Follower::start(follow, Arc::new(applied)).await?;
    let sync = SyncEngine::new(SyncParts {
        db: db.clone(),
        tail,
        typing: typing.clone(),
        presence: presence.clone(),
        rooms: rooms.clone(),
        follower: follower.clone(),
        clock: context.clock.clone(),
        limits: config.limits.clone(),
        max_parked: config.http.max_parked,
        drain: context.drain.clone(),
    });
    let accounts = Accounts::new(Parts {
        db: db.clone(),
        follower,
        tokens,
        clock: context.clock.clone(),
        patience: PATIENCE,
    });
    let hashing = &config.accounts;
    let (memory, passes) = (hashing.argon2_memory_kib, hashing.argon2_passes);
    let passwords = Passwords::new(memory, passes, config.limits.password_hashes)
        .map_err(anyhow::Error::msg)?;
    Ok(AppState::new(Inner {
        config: config.clone(),
        server_name,
        secret: ServerSecret::new(secret),
        clock: context.clock.clone(),
        db,
        rooms,
        accounts,
        passwords,
        commands,
        sync,
        typing,
        presence,
        rates,
        rules: routes::rules::of_all(&routes::all()),
    }))
}

/// The memory of the logs, and the soft state beside them.
fn tail(
    context: &Context,
    db: &Database,
    commands: &Commands,
    streams: &Streams,
    (rooms, stop): (&Rooms, &CancellationToken),
) -> (Tail, Typing, Presence) {
    let config = &context.config;
    let tasks = context.tasks.tracker();
    let typing = Typing::new(streams, stop, tasks);
    let (presence, start) = Presence::new(PresenceParts {
        streams: streams.clone(),
        db: db.clone(),
        commands: commands.clone(),
        clock: context.clock.clone(),
        settings: config.presence.clone(),
        stop: stop.clone(),
        tasks: tasks.clone(),
    });
    let tail = Tail::new(
        rooms.clone(),
        typing.clone(),
        presence.clone(),
        &config.limits,
    );
    typing.start(tail.clone(), streams, stop.clone(), tasks);
    start.start(tail.clone());
    (tail, typing, presence)
}
