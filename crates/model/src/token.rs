//! Sync and pagination tokens: opaque to clients, valid on every instance and after every failover.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::shard::{Generation, Position, ROOM_SHARDS, Shard, Vector};

/// The first byte of a sync token. A later layout appends fields; an older reader skips them. Layout 2
/// has the places in the streams of soft state.
const SYNC_VERSION: u8 = 2;
const OLDEST_VERSION: u8 = 1;
/// Longer tokens than this are not ours.
const MAX_TOKEN_LENGTH: usize = 1024;

/// The text is not a token that this server made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a token of this server")]
pub struct TokenError;

/// A place in a stream of soft state, which is lost with Redis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SoftPlace {
    /// Names the life of Redis in which `at` was; 0: none.
    pub run: u32,
    /// Counts up with Redis's time; only its order means something outside `sync`.
    pub at: i64,
}

/// What `/sync` hands out as `next_batch`: everything the client has seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncToken {
    /// The generation in which the positions were given out.
    pub generation: Generation,
    /// Position in each room shard.
    pub rooms: Vector,
    /// Position in the user's own shard.
    pub user: Position,
    /// Position in the device log.
    pub devices: Position,
    /// The typing notices that the client has.
    pub typing: SoftPlace,
    /// In some room the client believes that somebody is typing.
    pub sees_typing: bool,
    /// The presence that the client has.
    pub presence: SoftPlace,
}

impl SyncToken {
    /// The text for the client: URL-safe, no padding.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut bytes = Vec::with_capacity(96);
        bytes.push(SYNC_VERSION);
        write_varint(&mut bytes, i64::from(self.generation));
        write_varint(&mut bytes, self.user);
        write_varint(&mut bytes, self.devices);
        for position in self.rooms.0 {
            write_varint(&mut bytes, position);
        }
        bytes.push(u8::from(self.sees_typing));
        for place in [self.typing, self.presence] {
            write_varint(&mut bytes, i64::from(place.run));
            write_varint(&mut bytes, place.at);
        }
        format!("s{}", URL_SAFE_NO_PAD.encode(bytes))
    }

    /// Reads a token back.
    ///
    /// # Errors
    /// [`TokenError`] if the text was not made by [`SyncToken::encode`] of this or a later version.
    pub fn decode(text: &str) -> Result<Self, TokenError> {
        if text.len() > MAX_TOKEN_LENGTH {
            return Err(TokenError);
        }
        let encoded = text.strip_prefix('s').ok_or(TokenError)?;
        let bytes = URL_SAFE_NO_PAD
            .decode(encoded)
            .map_err(|_not_base64| TokenError)?;
        let (version, mut rest) = bytes.split_first().ok_or(TokenError)?;
        if *version < OLDEST_VERSION {
            return Err(TokenError);
        }
        let generation =
            Generation::try_from(read_varint(&mut rest)?).map_err(|_too_big| TokenError)?;
        let user = read_varint(&mut rest)?;
        let devices = read_varint(&mut rest)?;
        let mut rooms = [0; ROOM_SHARDS as usize];
        for position in &mut rooms {
            *position = read_varint(&mut rest)?;
        }
        if generation < 1 {
            return Err(TokenError);
        }
        let mut token = Self {
            generation,
            rooms: Vector(rooms),
            user,
            devices,
            typing: SoftPlace::default(),
            sees_typing: false,
            presence: SoftPlace::default(),
        };
        if *version > OLDEST_VERSION {
            token.sees_typing = read_varint(&mut rest)? != 0;
            token.typing = read_soft_place(&mut rest)?;
            token.presence = read_soft_place(&mut rest)?;
        }
        Ok(token)
    }
}

fn read_soft_place(bytes: &mut &[u8]) -> Result<SoftPlace, TokenError> {
    let run = u32::try_from(read_varint(bytes)?).map_err(|_too_big| TokenError)?;
    let at = read_varint(bytes)?;
    Ok(SoftPlace { run, at })
}

/// A place in one room's timeline, between two events: after every event whose number is at or
/// below `position`.
///
/// `/messages` takes and gives these; it also takes a [`SyncToken`], of which the room's shard counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageToken {
    /// The generation in which the position was given out.
    pub generation: Generation,
    /// Position in the room's shard, or the negative number of a backfilled event.
    pub position: Position,
}

impl PageToken {
    /// The text for the client: `p<generation>_<position>`.
    #[must_use]
    pub fn encode(&self) -> String {
        format!("p{}_{}", self.generation, self.position)
    }

    /// Reads a page token, or the part of a sync token that belongs to `shard`.
    ///
    /// # Errors
    /// [`TokenError`] if the text is neither.
    pub fn decode(text: &str, shard: Shard) -> Result<Self, TokenError> {
        let Some(rest) = text.strip_prefix('p') else {
            let sync = SyncToken::decode(text)?;
            return Ok(Self {
                generation: sync.generation,
                position: sync.rooms.get(shard),
            });
        };
        let (generation, position) = rest.split_once('_').ok_or(TokenError)?;
        let generation: Generation = generation.parse().map_err(|_not_a_number| TokenError)?;
        if generation < 1 {
            return Err(TokenError);
        }
        let position = position.parse().map_err(|_not_a_number| TokenError)?;
        Ok(Self {
            generation,
            position,
        })
    }
}

/// LEB128 of a non-negative number.
fn write_varint(out: &mut Vec<u8>, value: i64) {
    let mut left = value.max(0).unsigned_abs();
    loop {
        let low = u8::try_from(left & 0x7f).unwrap_or(0);
        left >>= 7;
        if left == 0 {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}

fn read_varint(bytes: &mut &[u8]) -> Result<i64, TokenError> {
    let mut value: u64 = 0;
    for shift in (0..63).step_by(7) {
        let (byte, rest) = bytes.split_first().ok_or(TokenError)?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return i64::try_from(value).map_err(|_too_big| TokenError);
        }
    }
    Err(TokenError)
}

#[cfg(test)]
mod tests;
