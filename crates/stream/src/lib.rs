//! The only Redis of Ganglion: one stream per shard log, capped streams of soft state
//! ([`SoftStream`]), and the shared state of rate limits.
//!
//! An entry's id is `<generation>-<last position>`, so Redis itself refuses a late or a double
//! publication, and a reader goes on from its own position. Streams only make readers fast: whatever
//! is missing in them is read from PostgreSQL (docs/architecture.md, "Logs").
#![warn(missing_docs)]
#![warn(clippy::future_not_send)]

mod publish;
mod read;
mod settle;
mod soft;

use std::sync::Arc;
use std::time::Duration;

use ganglion_config::Redis;
use ganglion_model::Shard;
use ganglion_telemetry::metrics::Counter;
use redis::aio::{ConnectionManager, ConnectionManagerConfig, MultiplexedConnection};
use redis::{AsyncConnectionConfig, Client, IntoConnectionInfo as _};
use tokio::sync::OnceCell;

pub use read::{After, Published, Reader};
pub use soft::{Run, SoftEntry, SoftId, SoftRead, SoftReader, SoftStream};

static ERRORS: Counter = Counter::new(
    "ganglion_stream_errors_total",
    "Calls to Redis that failed, by what was asked: publish, soft, read, settle.",
);

/// A call to Redis failed. Nothing is lost by it: PostgreSQL has what Redis has not.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// No connection, or no answer in time; may work in a moment.
    #[error("Redis is not available: {0}")]
    Unavailable(String),
    /// Redis answered, but not as expected.
    #[error("Redis refused: {0}")]
    Refused(String),
}

/// The streams of all shards, on one or more endpoints; a clone is a handle on the same.
#[derive(Clone)]
pub struct Streams(Arc<Inner>);

struct Inner {
    endpoints: Vec<Endpoint>,
    key_prefix: String,
    length: usize,
    timeout: Duration,
}

/// One Redis. Publications share one connection that reconnects by itself; readers bring their own.
struct Endpoint {
    client: Client,
    manager: OnceCell<ConnectionManager>,
}

impl Streams {
    /// Prepares the endpoints; no connection is made yet.
    ///
    /// # Errors
    /// A message for the operator if there is no endpoint, or an address or the password file cannot
    /// be used.
    pub fn open(config: &Redis, server_name: &str) -> Result<Self, String> {
        if config.endpoints.is_empty() {
            return Err("redis.endpoints: at least one is needed".to_owned());
        }
        let password = match &config.password_file {
            Some(path) => Some(
                std::fs::read_to_string(path)
                    .map_err(|error| format!("redis.password_file {}: {error}", path.display()))?
                    .trim()
                    .to_owned(),
            ),
            None => None,
        };
        let endpoints = config
            .endpoints
            .iter()
            .map(|address| open_endpoint(address, password.as_deref()))
            .collect::<Result<_, _>>()?;
        Ok(Self(Arc::new(Inner {
            endpoints,
            // The server's name keeps clusters apart that share a Redis.
            key_prefix: format!("ganglion:{server_name}:"),
            length: config.stream_length,
            timeout: Duration::from_millis(config.timeout_ms),
        })))
    }

    /// How many endpoints there are; a shard's stream lives on number `shard % endpoints`.
    #[must_use]
    pub fn endpoints(&self) -> usize {
        self.0.endpoints.len()
    }

    /// The number of the endpoint that has a shard's stream.
    #[must_use]
    pub fn endpoint_of(&self, shard: Shard) -> usize {
        shard.index() % self.0.endpoints.len()
    }

    fn key(&self, shard: Shard) -> String {
        format!("{}log:{shard}", self.0.key_prefix)
    }

    fn soft_key(&self, name: &str) -> String {
        format!("{}{name}", self.0.key_prefix)
    }

    async fn manager(&self, shard: Shard) -> Result<ConnectionManager, StreamError> {
        self.manager_of(self.endpoint_of(shard)).await
    }

    /// The connection that all additions to an endpoint share.
    async fn manager_of(&self, endpoint: usize) -> Result<ConnectionManager, StreamError> {
        let Some(endpoint) = self.0.endpoints.get(endpoint) else {
            return Err(StreamError::Unavailable("no endpoint".to_owned()));
        };
        let timeout = self.0.timeout;
        let make = || async {
            let config = ConnectionManagerConfig::new()
                .set_connection_timeout(Some(timeout))
                .set_response_timeout(Some(timeout))
                .set_number_of_retries(1);
            ConnectionManager::new_lazy_with_config(endpoint.client.clone(), config)
        };
        Ok(endpoint.manager.get_or_try_init(make).await?.clone())
    }

    /// A connection for one reader.
    async fn connection(&self, endpoint: usize) -> Result<MultiplexedConnection, StreamError> {
        let Some(endpoint) = self.0.endpoints.get(endpoint) else {
            return Err(StreamError::Unavailable("no such endpoint".to_owned()));
        };
        let timeout = self.0.timeout;
        // Every read sets its own deadline for the answer.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(timeout))
            .set_response_timeout(None);
        let connect = endpoint
            .client
            .get_multiplexed_async_connection_with_config(&config);
        match tokio::time::timeout(timeout, connect).await {
            Ok(connection) => Ok(connection?),
            Err(_elapsed) => Err(StreamError::Unavailable("no connection in time".to_owned())),
        }
    }
}

fn open_endpoint(address: &str, password: Option<&str>) -> Result<Endpoint, String> {
    // An address may hold a password: it is not repeated in the message.
    let fail = |error: redis::RedisError| format!("redis.endpoints: {error}");
    let mut info = address.into_connection_info().map_err(fail)?;
    if let Some(password) = password {
        let settings = info.redis_settings().clone().set_password(password);
        info = info.set_redis_settings(settings);
    }
    Ok(Endpoint {
        client: Client::open(info).map_err(fail)?,
        manager: OnceCell::new(),
    })
}

impl From<redis::RedisError> for StreamError {
    fn from(error: redis::RedisError) -> Self {
        match error.kind() {
            redis::ErrorKind::Io
            | redis::ErrorKind::Client
            | redis::ErrorKind::AuthenticationFailed => Self::Unavailable(error.to_string()),
            redis::ErrorKind::Server(kind)
                if !matches!(kind, redis::ServerErrorKind::ResponseError) =>
            {
                Self::Unavailable(error.to_string())
            }
            _ => Self::Refused(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests;
