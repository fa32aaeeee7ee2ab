//! What all instances together have taken from buckets of time (generic cell rate algorithm).
//!
//! Redis keeps one number per bucket, the time until which it is used up, by its own clock: no two
//! clocks are ever compared. A bucket that is empty has no key.

use std::fmt::Write as _;

use crate::{ERRORS, StreamError, Streams};

/// Buckets in one call.
const AT_ONCE: usize = 500;

/// Sent as it is: it is short beside the keys of a call, and a Redis that was started anew has no
/// script of ours.
const SETTLE: &str = r"
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local left = {}
for i, key in ipairs(KEYS) do
  local used_up = math.max(tonumber(redis.call('GET', key) or now), now)
  used_up = math.max(used_up + tonumber(ARGV[i]), now)
  left[i] = used_up - now
  if left[i] > 0 then
    redis.call('SET', key, string.format('%.0f', used_up), 'PX', math.ceil(left[i] / 1000))
  else
    redis.call('DEL', key)
  end
end
return left
";

impl Streams {
    /// Adds what was taken from each bucket (microseconds; negative: given back) to what all have
    /// taken. Returns for how long each bucket is used up from now on, in the same order.
    ///
    /// # Errors
    /// [`StreamError`]; some of it may be added, and must not be added again.
    pub async fn settle(&self, taken: &[([u8; 16], i64)]) -> Result<Vec<i64>, StreamError> {
        let result = self.settle_all(taken).await;
        if result.is_err() {
            ERRORS.with(&[("call", "settle")]).increment(1);
        }
        result
    }

    async fn settle_all(&self, taken: &[([u8; 16], i64)]) -> Result<Vec<i64>, StreamError> {
        let mut left = vec![0; taken.len()];
        for endpoint in 0..self.endpoints() {
            let here: Vec<usize> = taken
                .iter()
                .enumerate()
                .filter(|(_, (bucket, _))| self.endpoint_of_bucket(bucket) == endpoint)
                .map(|(index, _)| index)
                .collect();
            for part in here.chunks(AT_ONCE) {
                let chosen = || part.iter().filter_map(|index| taken.get(*index));
                let mut call = redis::cmd("EVAL");
                call.arg(SETTLE).arg(part.len());
                for (bucket, _) in chosen() {
                    call.arg(self.bucket_key(bucket));
                }
                for (_, cost) in chosen() {
                    call.arg(*cost);
                }
                let mut connection = self.manager_of(endpoint).await?;
                let answer = call.query_async::<Vec<i64>>(&mut connection);
                let answer = tokio::time::timeout(self.0.timeout, answer).await;
                let answer = answer.map_err(|_elapsed| {
                    StreamError::Unavailable("no answer in time".to_owned())
                })??;
                for (index, us) in part.iter().zip(answer) {
                    if let Some(place) = left.get_mut(*index) {
                        *place = us;
                    }
                }
            }
        }
        Ok(left)
    }

    fn endpoint_of_bucket(&self, bucket: &[u8; 16]) -> usize {
        usize::from(bucket[0]) % self.endpoints()
    }

    fn bucket_key(&self, bucket: &[u8; 16]) -> String {
        let mut key = format!("{}rate:", self.0.key_prefix);
        for byte in bucket {
            // Writing to a string cannot fail.
            write!(key, "{byte:02x}").ok();
        }
        key
    }
}
