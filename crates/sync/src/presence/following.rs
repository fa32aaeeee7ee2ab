//! The stream's entries go into memory; who shares a room is woken, together and not too often.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ganglion_model::{RoomNid, UserNid};
use ganglion_proto::soft;
use ganglion_rooms::View;
use ganglion_storage::{Database, StorageError, accounts, memberships};
use ganglion_stream::SoftEntry;
use prost::Message as _;
use tokio_util::sync::CancellationToken;

use super::Inner;
use crate::metrics::PRESENCE_PEOPLE;
use crate::soft::Soft;
use crate::tail::Tail;

/// Between two times that changes of presence wake.
const WAKE_EVERY: Duration = Duration::from_secs(1);
/// More requests that wait for one room are not woken by presence: they hear of it with what comes next.
const MOST_WOKEN: usize = 1_000;
/// Users whose rooms one statement reads.
const LOADED_AT_ONCE: usize = 500;
/// Between two reads of rooms of which changes may have been missed.
const RELOAD_EVERY: Duration = Duration::from_millis(200);
/// How long the stream waits for such a read.
const LOAD_TIME: Duration = Duration::from_secs(2);

type Rooms = Arc<Mutex<BTreeSet<RoomNid>>>;

#[derive(Clone)]
pub(super) struct Following {
    inner: Arc<Inner>,
    db: Database,
    tail: Tail,
    /// Rooms in which somebody's presence has changed since the last waking.
    changed: Rooms,
    /// Held from when it is said whose rooms are read until they are: an older read must not be taken
    /// for a newer one.
    loading: Arc<tokio::sync::Mutex<()>>,
}

impl Following {
    pub(super) fn new(inner: Arc<Inner>, db: Database, tail: Tail) -> Self {
        Self {
            inner,
            db,
            tail,
            changed: Rooms::default(),
            loading: Arc::default(),
        }
    }

    /// The task that wakes, until `stop`.
    pub(super) fn waking(
        &self,
        stop: CancellationToken,
    ) -> impl Future<Output = ()> + Send + use<> {
        let (changed, tail, inner) = (self.changed.clone(), self.tail.clone(), self.inner.clone());
        async move {
            loop {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(WAKE_EVERY) => {}
                }
                let rooms = std::mem::take(&mut *lock(&changed));
                tail.wake_quiet_rooms(rooms, MOST_WOKEN);
                let people = u32::try_from(inner.people().len()).unwrap_or(u32::MAX);
                PRESENCE_PEOPLE.set(f64::from(people));
            }
        }
    }

    /// The task that reads anew what may have missed changes, piece by piece: the stream goes on
    /// meanwhile with what is known.
    pub(super) fn reloading(
        &self,
        stop: CancellationToken,
    ) -> impl Future<Output = ()> + Send + use<> {
        let following = self.clone();
        async move {
            loop {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(RELOAD_EVERY) => {}
                }
                let loading = following.loading.lock().await;
                let users = following.inner.people().load_stale(LOADED_AT_ONCE);
                let is_done = users.is_empty() || following.load(&users).await;
                drop(loading);
                if !is_done {
                    tokio::time::sleep(LOAD_TIME).await;
                }
            }
        }
    }

    /// Reads the rooms of users; false if it fails.
    async fn load(&self, users: &[UserNid]) -> bool {
        match tokio::time::timeout(LOAD_TIME, self.read(users)).await {
            Ok(Ok(read)) => {
                for (user, rooms, status) in read {
                    let is_news = self.inner.people().know(user, rooms, status);
                    if is_news {
                        self.note(user);
                    }
                }
                true
            }
            result => {
                let error = result.ok().and_then(Result::err);
                let error = error.map_or_else(|| "no answer in time".to_owned(), |e| e.to_string());
                tracing::warn!(
                    error,
                    "the rooms of users whose presence changed cannot be read"
                );
                self.inner.people().not_loaded(users);
                false
            }
        }
    }

    fn note(&self, user: UserNid) {
        let people = self.inner.people();
        if let Some(person) = people.person(user) {
            lock(&self.changed).extend(person.rooms());
        }
    }

    async fn read(&self, users: &[UserNid]) -> Result<Vec<Read>, StorageError> {
        // Behind all that is applied: what is applied later is noted.
        let mut view = View::new(&self.db, None);
        let snapshot = view.snapshot().await?;
        let joined = memberships::joined_rooms(snapshot, users).await?;
        let presence = accounts::presence(snapshot, users).await?;
        let mut presence: std::collections::HashMap<_, _> = presence
            .into_iter()
            .map(|record| (record.user_nid, (record.status_msg, record.status_at)))
            .collect();
        let rooms_of = |user: UserNid| {
            let from = joined.partition_point(|(other, _)| *other < user);
            let rooms = joined.iter().skip(from);
            let ours = rooms.take_while(|(other, _)| *other == user);
            ours.map(|(_, room)| *room).collect()
        };
        Ok(users
            .iter()
            .map(|user| {
                (
                    *user,
                    rooms_of(*user),
                    presence.remove(user).unwrap_or_default(),
                )
            })
            .collect())
    }
}

/// A user's rooms, and the status message with its time.
type Read = (UserNid, Vec<RoomNid>, (Option<String>, i64));

impl Soft for Following {
    fn begin(&self, run: u32, from_ms: i64) {
        self.inner.people().begin(run, from_ms);
    }

    async fn prepare(&self, entries: &[SoftEntry]) {
        let decoded: Vec<soft::Presence> = entries
            .iter()
            .filter_map(|entry| soft::Presence::decode(entry.payload.clone()).ok())
            .collect();
        let _loading = self.loading.lock().await;
        let heard_of = decoded.iter();
        let heard_of = heard_of.map(|entry| (UserNid(entry.user_nid), entry.user_id.as_str()));
        let mut users = self.inner.people().load(heard_of);
        while !users.is_empty() {
            let now = users.split_off(users.len().saturating_sub(LOADED_AT_ONCE));
            if !self.load(&now).await {
                break;
            }
        }
        self.inner.people().not_loaded(&users);
    }

    fn apply(&self, entry: &SoftEntry) {
        match soft::Presence::decode(entry.payload.clone()) {
            Ok(presence) => {
                if self.inner.people().apply(entry.id, &presence) {
                    self.note(UserNid(presence.user_nid));
                }
            }
            Err(error) => tracing::error!(error = %error, "an entry of presence does not decode"),
        }
    }

    fn complete(&self, ms: i64) {
        let changed = self.inner.people().complete(ms);
        for user in changed {
            self.note(user);
        }
    }

    fn next_ms(&self) -> Option<i64> {
        self.inner.people().next_ms()
    }

    fn set_away(&self, away: bool) {
        self.inner.away.store(away, Ordering::Relaxed);
    }

    fn set_clock(&self, ms: i64) {
        self.inner.people().set_clock(ms);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
