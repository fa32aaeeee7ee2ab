//! Up to where a response tells.

use ganglion_model::{Generation, Position, Shard, SoftPlace, SyncToken, Vector};
use ganglion_storage::Heads;

use crate::tail::Tail;

/// The positions that a response covers: all up to them, nothing beyond.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    pub(crate) generation: Generation,
    pub(crate) rooms: Vector,
    /// The position in the user's own log. Read after `rooms`.
    pub(crate) user: Position,
    /// The place in soft state, which follows no log.
    pub(crate) typing: SoftPlace,
    pub(crate) sees_typing: bool,
    pub(crate) presence: SoftPlace,
}

impl Moment {
    /// All that is committed at `heads`.
    pub(crate) fn of_heads(heads: &Heads, user_shard: Shard) -> Self {
        Self {
            generation: heads.generation,
            rooms: heads.rooms(),
            user: heads.get(user_shard),
            typing: SoftPlace::default(),
            sees_typing: false,
            presence: SoftPlace::default(),
        }
    }

    /// All that is applied in memory.
    pub(crate) fn of_tail(tail: &Tail, generation: Generation, user_shard: Shard) -> Self {
        let rooms = tail.vector();
        Self {
            generation,
            rooms,
            user: tail.position(user_shard),
            typing: SoftPlace::default(),
            sees_typing: false,
            presence: SoftPlace::default(),
        }
    }

    /// All that either covers.
    pub(crate) fn or(mut self, other: &Self) -> Self {
        for shard in Shard::rooms() {
            self.rooms
                .set(shard, self.rooms.get(shard).max(other.rooms.get(shard)));
        }
        self.user = self.user.max(other.user);
        self.generation = self.generation.max(other.generation);
        self
    }

    /// Whether this covers all of `other`.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        self.rooms.covers(&other.rooms) && self.user >= other.user
    }

    /// As a client gets it.
    pub(crate) fn token(&self) -> SyncToken {
        SyncToken {
            generation: self.generation,
            rooms: self.rooms,
            user: self.user,
            devices: 0,
            typing: self.typing,
            sees_typing: self.sees_typing,
            presence: self.presence,
        }
    }
}
