//! Capped streams of soft state: what is true for seconds, and is lost with Redis.
//!
//! Redis gives an entry its id, and with it the time that everybody counts from. A reader learns with
//! every answer up to when it has read everything, so all readers put entries and what follows from the
//! passing of time (something ends) into the same order.

use std::time::Duration;

use bytes::Bytes;
use redis::aio::MultiplexedConnection;
use redis::streams::StreamReadReply;
use redis::{FromRedisValue as _, Value};

use crate::publish::FIELD;
use crate::{ERRORS, StreamError, Streams};

/// Entries taken in one read.
const PER_READ: usize = 1_000;

/// A capped stream by its name; a clone is the same.
#[derive(Clone)]
pub struct SoftStream {
    streams: Streams,
    key: String,
    length: usize,
}

/// An entry's id: Redis's time in milliseconds, and a number within the millisecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SoftId {
    /// Milliseconds since the Unix epoch.
    pub ms: i64,
    /// The number within the millisecond.
    pub seq: u64,
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SoftEntry {
    /// Its place in the stream.
    pub id: SoftId,
    /// What was added.
    pub payload: Bytes,
}

/// What a reader finds when it connects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// Names this life of Redis; never 0.
    pub id: u32,
    /// Redis's time, in milliseconds.
    pub now_ms: i64,
}

/// What a read has brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SoftRead {
    /// In their order.
    pub entries: Vec<SoftEntry>,
    /// No entry with this time in milliseconds, or an earlier one, is to come any more.
    pub complete_ms: i64,
}

/// Reads one stream, on a connection of its own.
pub struct SoftReader {
    stream: SoftStream,
    connection: Option<MultiplexedConnection>,
}

impl Streams {
    /// The stream `name`, of which about `length` entries are kept.
    #[must_use]
    pub fn soft(&self, name: &str, length: usize) -> SoftStream {
        SoftStream {
            streams: self.clone(),
            key: self.soft_key(name),
            length,
        }
    }
}

impl SoftStream {
    /// Adds an entry.
    ///
    /// # Errors
    /// [`StreamError`]; the entry may be there all the same.
    pub async fn add(&self, payload: &[u8]) -> Result<(), StreamError> {
        let mut command = redis::cmd("XADD");
        command
            .arg(&self.key)
            .arg("MAXLEN")
            .arg("~")
            .arg(self.length)
            .arg("*")
            .arg(FIELD)
            .arg(payload);
        let result = match self.streams.manager_of(SOFT_ENDPOINT).await {
            Ok(mut connection) => {
                let answer = command.query_async::<Value>(&mut connection);
                match tokio::time::timeout(self.streams.0.timeout, answer).await {
                    Ok(answer) => answer.map(drop).map_err(StreamError::from),
                    Err(_elapsed) => Err(late()),
                }
            }
            Err(error) => Err(error),
        };
        if result.is_err() {
            ERRORS.with(&[("call", "soft")]).increment(1);
        }
        result
    }

    /// A reader, not connected yet.
    #[must_use]
    pub fn reader(&self) -> SoftReader {
        SoftReader {
            stream: self.clone(),
            connection: None,
        }
    }
}

/// All soft state is on the first endpoint.
const SOFT_ENDPOINT: usize = 0;

impl SoftReader {
    /// Connects anew.
    ///
    /// # Errors
    /// [`StreamError`]; wait a moment before the next call.
    pub async fn connect(&mut self) -> Result<Run, StreamError> {
        self.connection = None;
        let streams = &self.stream.streams;
        let ask = async {
            let mut connection = streams.connection(SOFT_ENDPOINT).await?;
            let (info, time): (String, (i64, i64)) = redis::pipe()
                .cmd("INFO")
                .arg("server")
                .cmd("TIME")
                .query_async(&mut connection)
                .await?;
            Ok::<_, StreamError>((connection, run_of(&info), milliseconds(time)))
        };
        let (connection, id, now_ms) = match tokio::time::timeout(streams.0.timeout, ask).await {
            Ok(found) => found?,
            Err(_elapsed) => return Err(late()),
        };
        let id = id.ok_or_else(|| StreamError::Refused("INFO without a run_id".to_owned()))?;
        self.connection = Some(connection);
        Ok(Run { id, now_ms })
    }

    /// The entries behind `after`; waits up to `block` if there is none. After an error, or a call that
    /// was dropped half way, connect anew.
    ///
    /// # Errors
    /// [`StreamError`].
    pub async fn read(&mut self, after: SoftId, block: Duration) -> Result<SoftRead, StreamError> {
        let result = self.read_behind(after, block).await;
        if result.is_err() {
            ERRORS.with(&[("call", "read")]).increment(1);
        }
        result
    }

    async fn read_behind(
        &mut self,
        after: SoftId,
        block: Duration,
    ) -> Result<SoftRead, StreamError> {
        let Some(mut connection) = self.connection.take() else {
            return Err(StreamError::Unavailable("not connected".to_owned()));
        };
        // 0 would mean for ever.
        let block_ms = u64::try_from(block.as_millis()).unwrap_or(u64::MAX).max(1);
        let mut pipe = redis::pipe();
        // The time first: what is added before it is in the answer to the read.
        pipe.cmd("TIME")
            .cmd("XREAD")
            .arg("COUNT")
            .arg(PER_READ)
            .arg("BLOCK")
            .arg(block_ms)
            .arg("STREAMS")
            .arg(&self.stream.key)
            .arg(format!("{}-{}", after.ms, after.seq));
        let answer = pipe.query_async::<((i64, i64), Option<StreamReadReply>)>(&mut connection);
        let deadline = block + self.stream.streams.0.timeout;
        let (time, reply) = match tokio::time::timeout(deadline, answer).await {
            Ok(answer) => answer?,
            Err(_elapsed) => return Err(late()),
        };
        self.connection = Some(connection);
        let mut entries = Vec::new();
        for stream in reply.unwrap_or_default().keys {
            for entry in stream.ids {
                let unexpected = || StreamError::Refused(format!("entry {}", entry.id));
                let (ms, seq) = entry.id.split_once('-').ok_or_else(unexpected)?;
                let payload = entry.map.get(FIELD).ok_or_else(unexpected)?;
                entries.push(SoftEntry {
                    id: SoftId {
                        ms: ms.parse().map_err(|_not_a_number| unexpected())?,
                        seq: seq.parse().map_err(|_not_a_number| unexpected())?,
                    },
                    payload: Bytes::from_redis_value_ref(payload)
                        .map_err(|_not_bytes| unexpected())?,
                });
            }
        }
        // Within the last millisecond more may follow.
        let complete_ms = match entries.last() {
            Some(last) if entries.len() >= PER_READ => last.id.ms - 1,
            _ => milliseconds(time) - 1,
        };
        Ok(SoftRead {
            entries,
            complete_ms,
        })
    }
}

fn late() -> StreamError {
    StreamError::Unavailable("no answer in time".to_owned())
}

fn milliseconds((seconds, microseconds): (i64, i64)) -> i64 {
    seconds * 1_000 + microseconds / 1_000
}

/// The first four bytes of Redis's run id, which is random hexadecimal.
fn run_of(info: &str) -> Option<u32> {
    let run = info.lines().find_map(|line| line.strip_prefix("run_id:"))?;
    u32::from_str_radix(run.get(..8)?, 16)
        .ok()
        .map(|id| id.max(1))
}
