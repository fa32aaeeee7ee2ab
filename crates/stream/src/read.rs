//! Reading the streams of some shards, on a connection of one's own: a blocking read would hold up
//! everything behind it.

use std::time::Duration;

use bytes::Bytes;
use ganglion_model::{Generation, Position, Shard};
use redis::FromRedisValue as _;
use redis::aio::MultiplexedConnection;
use redis::streams::{StreamId, StreamReadReply};

use crate::publish::FIELD;
use crate::{ERRORS, StreamError, Streams};

/// Batches of one stream taken in one read.
const PER_STREAM: usize = 100;

/// Where to go on reading: behind this position of a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct After {
    /// The shard.
    pub shard: Shard,
    /// The generation of `position`.
    pub generation: Generation,
    /// The last position that is known.
    pub position: Position,
}

/// A batch as it was published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// The shard.
    pub shard: Shard,
    /// The generation it was published in.
    pub generation: Generation,
    /// Its last position.
    pub last: Position,
    /// The encoded batch.
    pub batch: Bytes,
}

/// Reads from one endpoint, on its own connection, which is made when it is first needed and anew
/// after every error.
pub struct Reader {
    streams: Streams,
    endpoint: usize,
    connection: Option<MultiplexedConnection>,
}

impl Streams {
    /// A reader for the streams of one endpoint, which is less than [`Streams::endpoints`].
    #[must_use]
    pub fn reader(&self, endpoint: usize) -> Reader {
        Reader {
            streams: self.clone(),
            endpoint,
            connection: None,
        }
    }
}

impl Reader {
    /// The batches behind `from`, of every shard in its order; waits up to `block` if there is none.
    /// Shards of other endpoints find nothing.
    ///
    /// # Errors
    /// [`StreamError`]; wait a moment before the next call.
    pub async fn read_many(
        &mut self,
        from: &[After],
        block: Duration,
    ) -> Result<Vec<Published>, StreamError> {
        // Taken out, so that a call that is dropped half way leaves no connection with an answer
        // under way.
        let connection = self.connection.take();
        let result = self.read(connection, from, block).await;
        if result.is_err() {
            ERRORS.with(&[("call", "read")]).increment(1);
        }
        result
    }

    async fn read(
        &mut self,
        connection: Option<MultiplexedConnection>,
        from: &[After],
        block: Duration,
    ) -> Result<Vec<Published>, StreamError> {
        let mut connection = match connection {
            Some(connection) => connection,
            None => self.streams.connection(self.endpoint).await?,
        };
        let mut command = redis::cmd("XREAD");
        // 0 would mean for ever.
        let block_ms = u64::try_from(block.as_millis()).unwrap_or(u64::MAX).max(1);
        command
            .arg("COUNT")
            .arg(PER_STREAM)
            .arg("BLOCK")
            .arg(block_ms)
            .arg("STREAMS");
        for place in from {
            command.arg(self.streams.key(place.shard));
        }
        for place in from {
            command.arg(format!("{}-{}", place.generation, place.position));
        }
        let deadline = block + self.streams.0.timeout;
        let answer = tokio::time::timeout(
            deadline,
            command.query_async::<Option<StreamReadReply>>(&mut connection),
        );
        let reply = match answer.await {
            Ok(reply) => reply?.unwrap_or_default(),
            Err(_elapsed) => {
                return Err(StreamError::Unavailable("no answer in time".to_owned()));
            }
        };
        self.connection = Some(connection);
        let mut batches = Vec::new();
        for stream in reply.keys {
            let place = from
                .iter()
                .find(|place| self.streams.key(place.shard) == stream.key);
            let Some(place) = place else { continue };
            for entry in &stream.ids {
                batches.push(decode(place.shard, entry)?);
            }
        }
        Ok(batches)
    }
}

fn decode(shard: Shard, entry: &StreamId) -> Result<Published, StreamError> {
    let unexpected = || StreamError::Refused(format!("entry {} of shard {shard}", entry.id));
    let (generation, last) = entry.id.split_once('-').ok_or_else(unexpected)?;
    let batch = entry.map.get(FIELD).ok_or_else(unexpected)?;
    Ok(Published {
        shard,
        generation: generation.parse().map_err(|_not_a_number| unexpected())?,
        last: last.parse().map_err(|_not_a_number| unexpected())?,
        batch: Bytes::from_redis_value_ref(batch).map_err(|_not_bytes| unexpected())?,
    })
}
