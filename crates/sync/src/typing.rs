//! Who is typing (client-server API, "Typing notifications").

mod lists;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ganglion_model::{RoomNid, SoftPlace};
use ganglion_proto::soft;
use ganglion_stream::{SoftEntry, Streams};
use prost::Message as _;
use ruma::UserId;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::soft::{Publisher, Soft, follow};
use crate::tail::Tail;
use crate::users::{RoomList, UserRoom};
use lists::Lists;

/// The longest that one request makes somebody type.
pub const LONGEST_TYPING: Duration = Duration::from_mins(2);
/// Entries kept in Redis: enough for [`LONGEST_TYPING`] at 80 a second.
const LENGTH: usize = 10_000;
/// The stream's name.
const STREAM: &str = "typing";

/// Who types, as all instances see it. A clone is the same handle.
#[derive(Clone)]
pub struct Typing(Arc<Inner>);

struct Inner {
    lists: Mutex<Lists>,
    publisher: Publisher,
}

/// What a response tells of typing.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// For the token.
    pub(crate) now: SoftPlace,
    pub(crate) sees_typing: bool,
    /// Who types, by room, where that is to be told.
    pub(crate) rooms: HashMap<RoomNid, Vec<Arc<str>>>,
}

impl Typing {
    /// The handle; until `stop` its tasks exchange notices with the other instances.
    #[must_use]
    pub fn new(streams: &Streams, stop: &CancellationToken, tasks: &TaskTracker) -> Self {
        let stream = streams.soft(STREAM, LENGTH);
        let (publisher, adding) = Publisher::new(STREAM, stream, stop.clone());
        tasks.spawn(adding);
        Self(Arc::new(Inner {
            lists: Mutex::default(),
            publisher,
        }))
    }

    /// One that no stream goes into.
    #[cfg(test)]
    pub(crate) fn detached() -> Self {
        Self(Arc::new(Inner {
            lists: Mutex::default(),
            publisher: Publisher::detached(STREAM),
        }))
    }

    /// Starts to follow the stream, and to wake those who wait in `tail`.
    pub fn start(
        &self,
        tail: Tail,
        streams: &Streams,
        stop: CancellationToken,
        tasks: &TaskTracker,
    ) {
        let stream = streams.soft(STREAM, LENGTH);
        let applied = Following {
            typing: self.clone(),
            tail,
        };
        tasks.spawn(async move { follow(STREAM, stream, &applied, LONGEST_TYPING, stop).await });
    }

    /// A member of a room types for a while, at most [`LONGEST_TYPING`]; zero: no more. Returns at once;
    /// without Redis nothing comes of it.
    pub fn set(&self, room: RoomNid, user: &UserId, timeout: Duration) {
        self.publish(room, user.as_str(), timeout.min(LONGEST_TYPING));
    }

    /// A user has left a room.
    pub(crate) fn left(&self, room: RoomNid, user: &str) {
        // By way of the stream, so that all instances see it at the same place; repetitions change nothing.
        if self.lists().is_typing(room, user) {
            self.publish(room, user, Duration::ZERO);
        }
    }

    fn publish(&self, room: RoomNid, user: &str, timeout: Duration) {
        self.0.publisher.add(&soft::Typing {
            room_nid: room.0,
            user_id: user.to_owned(),
            timeout_ms: u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX),
        });
    }

    /// What has changed after a token in the joined rooms of a list; without one, where somebody types
    /// now.
    pub(crate) fn told(
        &self,
        since: Option<(SoftPlace, bool)>,
        list: &RoomList,
        is_joined: impl Fn(&UserRoom) -> bool,
    ) -> Told {
        self.lists().told(since, list, is_joined)
    }

    /// Who types in a room now.
    pub(crate) fn in_room(&self, room: RoomNid) -> Vec<Arc<str>> {
        self.lists().in_room(room)
    }

    /// Whether a list of one of these rooms has changed after a place.
    pub(crate) fn has_changed(
        &self,
        since: SoftPlace,
        mut rooms: impl Iterator<Item = RoomNid>,
    ) -> bool {
        let lists = self.lists();
        rooms.any(|room| lists.has_changed(since, room))
    }

    fn lists(&self) -> MutexGuard<'_, Lists> {
        self.0.lists.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The stream's entries go into the lists; who waits for a room is woken.
struct Following {
    typing: Typing,
    tail: Tail,
}

impl Soft for Following {
    fn begin(&self, run: u32, from_ms: i64) {
        let changed = self.typing.lists().begin(run, from_ms);
        self.tail.wake_rooms(changed);
    }

    async fn prepare(&self, _entries: &[SoftEntry]) {}

    fn apply(&self, entry: &SoftEntry) {
        match soft::Typing::decode(entry.payload.clone()) {
            Ok(typing) => {
                let changed = self.typing.lists().apply(entry.id, &typing);
                self.tail.wake_rooms(changed);
            }
            Err(error) => tracing::error!(error = %error, "a typing notice does not decode"),
        }
    }

    fn complete(&self, ms: i64) {
        let changed = self.typing.lists().complete(ms);
        self.tail.wake_rooms(changed);
    }

    fn next_ms(&self) -> Option<i64> {
        self.typing.lists().next_ms()
    }
}
