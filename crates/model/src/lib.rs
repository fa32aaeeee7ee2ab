//! The words of Ganglion: shards, positions, numeric ids, tokens, the clock, and the one error type
//! that crosses role boundaries. Nothing here does I/O.
#![warn(missing_docs)]

pub mod clock;
pub mod command;
pub mod error;
pub mod membership;
pub mod nid;
pub mod secret;
pub mod shard;
pub mod token;
pub mod unread;

pub use clock::Clock;
pub use command::CommandId;
pub use error::MatrixError;
pub use membership::{HistoryVisibility, Membership};
pub use nid::{EventNid, RoomNid, SlotNid, SnapshotNid, TypeNid, UserNid};
pub use secret::{AccessToken, LoginToken, RefreshToken, ServerSecret};
pub use shard::{Generation, Position, Shard, ShardFamily, Vector};
pub use token::{PageToken, SoftPlace, SyncToken, TokenError};
pub use unread::{Counts, Verdict};
