//! What this process remembers of users: read once, then kept up to date by the logs.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ganglion_model::{Shard, UserNid};
use ganglion_rooms::View;
use ganglion_storage::StorageError;
use moka::sync::Cache;

use crate::moment::Moment;

/// Users that are remembered, and for how long without use.
const REMEMBERED: u64 = 20_000;
const IDLE: Duration = Duration::from_secs(3_600);

/// Something of a user that the logs change.
pub(crate) trait Kept: Clone + Send + Sync + 'static {
    /// What a log brings.
    type Change: Send + 'static;

    /// Reads it.
    fn load(
        view: &mut View,
        user: UserNid,
    ) -> impl Future<Output = Result<Self, StorageError>> + Send;

    /// Takes in a change, which may be known already. False if it must be read anew for that.
    fn apply(&mut self, change: Self::Change) -> bool;

    /// How much it takes beside what others have.
    fn weight(&self) -> usize {
        1
    }
}

/// What is remembered, by user.
pub(crate) struct Followed<K: Kept> {
    users: Cache<UserNid, Arc<Held<K>>>,
    /// Held while a user is looked up for a change or put into `users`: nothing comes in between.
    places: Mutex<()>,
    /// What is of earlier rounds has missed changes.
    round: AtomicU64,
}

struct Held<K: Kept> {
    round: u64,
    weight: AtomicU32,
    state: Mutex<State<K>>,
}

struct State<K: Kept> {
    kept: Option<Arc<K>>,
    /// Changes that came while it was being read.
    pending: Vec<K::Change>,
}

impl<K: Kept> Followed<K> {
    pub(crate) fn new() -> Self {
        let users = Cache::builder()
            .max_capacity(REMEMBERED)
            .weigher(|_, held: &Arc<Held<K>>| held.weight.load(Ordering::Relaxed))
            .time_to_idle(IDLE)
            .build();
        Self {
            users,
            places: Mutex::default(),
            round: AtomicU64::new(0),
        }
    }

    /// A change that a log brought; `change` is asked only if the user is remembered, and has `None`
    /// if it cannot tell.
    pub(crate) fn applied(&self, user: UserNid, change: impl FnOnce() -> Option<K::Change>) {
        let _placing = self.placing();
        let Some(held) = self.users.get(&user) else {
            return;
        };
        let Some(change) = change() else {
            self.users.invalidate(&user);
            return;
        };
        let mut state = held.lock();
        match &mut state.kept {
            Some(kept) => {
                if !Arc::make_mut(kept).apply(change) {
                    self.users.invalidate(&user);
                }
            }
            None => state.pending.push(change),
        }
    }

    /// The log was not followed without a gap: everything may have missed something.
    pub(crate) fn forget_all(&self) {
        self.round.fetch_add(1, Ordering::AcqRel);
    }

    /// What is remembered of a user, with all changes up to where the logs are applied now.
    ///
    /// `now` tells how far that is; `view` is used if it shows as much, else `fresh` takes its place.
    pub(crate) async fn get(
        &self,
        view: &mut View,
        (shard, user): (Shard, UserNid),
        now: impl Fn() -> Moment,
        fresh: impl FnOnce() -> View,
    ) -> Result<Arc<K>, StorageError> {
        let round = self.round.load(Ordering::Acquire);
        let held = self.held(user, round);
        if let Some(kept) = &held.lock().kept {
            return Ok(kept.clone());
        }
        // From here on the log's changes are collected; what came before is in the database.
        let applied = now();
        let heads = view.snapshot().await?.heads().await?;
        if !Moment::of_heads(&heads, shard).covers(&applied) {
            // In its place: who holds one view and waits for another may wait for ever.
            *view = fresh();
        }
        let mut kept = K::load(view, user).await?;
        let mut state = held.lock();
        for change in std::mem::take(&mut state.pending) {
            if !kept.apply(change) {
                self.users.invalidate(&user);
            }
        }
        let kept = Arc::new(kept);
        // Another request may have been first, and changes applied to its list since.
        let kept = state.kept.get_or_insert(kept).clone();
        drop(state);
        self.weigh(user, &held, kept.weight());
        Ok(kept)
    }

    /// What there is of a user, of this round.
    fn held(&self, user: UserNid, round: u64) -> Arc<Held<K>> {
        let _placing = self.placing();
        let held = self.users.get(&user).filter(|held| held.round == round);
        held.unwrap_or_else(|| {
            let held = Arc::new(Held {
                round,
                weight: AtomicU32::new(1),
                state: Mutex::new(State {
                    kept: None,
                    pending: Vec::new(),
                }),
            });
            self.users.insert(user, held.clone());
            held
        })
    }

    /// The cache asks for the weight of what is put into it: nobody knew it before it was read.
    fn weigh(&self, user: UserNid, held: &Arc<Held<K>>, weight: usize) {
        let weight = u32::try_from(weight).unwrap_or(u32::MAX);
        if held.weight.swap(weight, Ordering::Relaxed) == weight {
            return;
        }
        let _placing = self.placing();
        // What is forgotten already has missed changes.
        let is_there = |now: Arc<Held<K>>| Arc::ptr_eq(&now, held);
        if self.users.get(&user).is_some_and(is_there) {
            self.users.insert(user, held.clone());
        }
    }

    fn placing(&self) -> MutexGuard<'_, ()> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Kept> Held<K> {
    fn lock(&self) -> MutexGuard<'_, State<K>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
