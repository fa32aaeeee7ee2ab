//! Shards and positions: where a room's or a user's log lives and how far it has come.

use ruma::{RoomId, UserId};
use sha2::{Digest, Sha256};

/// Room shards; their number is fixed for the life of a cluster.
pub const ROOM_SHARDS: u8 = 32;
/// User shards; their number is fixed for the life of a cluster.
pub const USER_SHARDS: u8 = 32;
/// The logs that readers follow: rooms and users (the device log is not served yet).
pub const FOLLOWED_SHARDS: u8 = ROOM_SHARDS + USER_SHARDS;
/// All shards that exist: also how far the consumer "push" has read each room shard.
pub const ALL_SHARDS: u8 = FOLLOWED_SHARDS + ROOM_SHARDS;

/// Which kind of log a shard is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ShardFamily {
    /// Events, receipts, room changes.
    Room,
    /// Account data, tokens, own devices.
    User,
    /// How far the consumer "push" has come: position for position a room shard's log.
    Push,
}

/// One shard log: 0..32 are the room shards, 32..64 the user shards, 64..96 those of the consumer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Shard(u8);

impl Shard {
    /// `None` unless `number` is a shard that exists.
    #[must_use]
    pub fn new(number: i64) -> Option<Self> {
        u8::try_from(number)
            .ok()
            .filter(|n| *n < ALL_SHARDS)
            .map(Self)
    }

    /// The shard of a room: the one function that decides it.
    #[must_use]
    pub fn of_room(room_id: &RoomId) -> Self {
        Self(stable_hash(room_id.as_bytes()) % ROOM_SHARDS)
    }

    /// The shard of a user: the one function that decides it.
    #[must_use]
    pub fn of_user(user_id: &UserId) -> Self {
        Self(ROOM_SHARDS + stable_hash(user_id.as_bytes()) % USER_SHARDS)
    }

    /// Every shard whose log readers follow, in order.
    pub fn followed() -> impl Iterator<Item = Self> {
        (0..FOLLOWED_SHARDS).map(Self)
    }

    /// Every room shard, in order.
    pub fn rooms() -> impl Iterator<Item = Self> {
        (0..ROOM_SHARDS).map(Self)
    }

    /// Every user shard, in order.
    pub fn users() -> impl Iterator<Item = Self> {
        (ROOM_SHARDS..FOLLOWED_SHARDS).map(Self)
    }

    /// Every shard of the consumer "push", in order.
    pub fn pushes() -> impl Iterator<Item = Self> {
        (FOLLOWED_SHARDS..ALL_SHARDS).map(Self)
    }

    /// The consumer's log of a room shard; `None` for a shard of another family.
    #[must_use]
    pub fn push_of(room_shard: Self) -> Option<Self> {
        (room_shard.0 < ROOM_SHARDS).then_some(Self(FOLLOWED_SHARDS + room_shard.0))
    }

    /// The room shard that a log of the consumer reads; `None` for a shard of another family.
    #[must_use]
    pub fn read_by_push(self) -> Option<Self> {
        self.0.checked_sub(FOLLOWED_SHARDS).map(Self)
    }

    /// The kind of this log.
    #[must_use]
    pub fn family(self) -> ShardFamily {
        if self.0 < ROOM_SHARDS {
            ShardFamily::Room
        } else if self.0 < FOLLOWED_SHARDS {
            ShardFamily::User
        } else {
            ShardFamily::Push
        }
    }

    /// The number, as the database holds it.
    #[must_use]
    pub fn number(self) -> i16 {
        i16::from(self.0)
    }

    /// For use as an index into an array of all shards.
    #[must_use]
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

impl std::fmt::Display for Shard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

fn stable_hash(bytes: &[u8]) -> u8 {
    // The numbers of shards are powers of two that divide 256: one byte is uniform.
    Sha256::digest(bytes).first().copied().unwrap_or(0)
}

/// A place in one shard's log. The first entry has position 1; 0 is "before everything".
///
/// Backfilled events have negative numbers in the same order (older is smaller).
pub type Position = i64;

/// Counts the restores and timeline changes of PostgreSQL; starts at 1.
pub type Generation = i32;

/// How far a reader has come in each room shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Vector(pub [Position; ROOM_SHARDS as usize]);

impl Vector {
    /// Before everything.
    pub const ZERO: Self = Self([0; ROOM_SHARDS as usize]);

    /// The position in a room shard; 0 for a shard of another family.
    #[must_use]
    pub fn get(&self, shard: Shard) -> Position {
        self.0.get(shard.index()).copied().unwrap_or(0)
    }

    /// Sets the position of a room shard; a shard of another family changes nothing.
    pub fn set(&mut self, shard: Shard, position: Position) {
        if let Some(place) = self.0.get_mut(shard.index()) {
            *place = position;
        }
    }

    /// True if in no shard this is behind `other`.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        self.0
            .iter()
            .zip(other.0)
            .all(|(mine, theirs)| *mine >= theirs)
    }
}
