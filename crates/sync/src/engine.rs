//! Requests: with and without a token, at once or after waiting.

use std::sync::Arc;
use std::time::Duration;

use ganglion_cluster::follower::Follower;
use ganglion_config::Limits;
use ganglion_model::{Clock, Membership, Shard, SyncToken, UserNid};
use ganglion_rooms::fields::Fields;
use ganglion_rooms::visibility::membership_at;
use ganglion_rooms::{Rooms, View, filter};
use ganglion_storage::timeline::clamps;
use ganglion_storage::{Barrier, Database, StorageError};
use ruma::api::client::filter::FilterDefinition;
use ruma::{OwnedDeviceId, OwnedUserId};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::answer::{Pass, answer};
use crate::followed::Kept as _;
use crate::lazy::{Lazy, Members};
use crate::metrics::{PARKED, SYNCS};
use crate::moment::Moment;
use crate::presence::{Presence, State, Who};
use crate::response::Response;
use crate::soft::answer::{presence_is_wanted, typing_is_wanted};
use crate::tail::{Interest, Tail, Watch};
use crate::typing::Told;
use crate::typing::Typing;
use crate::unread::{self, Remembered};
use crate::users::RoomList;

/// How long a request waits for this process to see what was committed before it came. Whatever is
/// not seen by then is read from PostgreSQL.
const CATCH_UP: Duration = Duration::from_millis(250);
/// How long an initial sync may wait for its turn.
const INITIAL_TURN: Duration = Duration::from_secs(20);
/// The longest a request may wait for something new, whatever it asks for: less than the balancer
/// waits for an answer.
const LONGEST_WAIT: Duration = Duration::from_secs(120);

/// What the engine works with.
pub struct SyncParts {
    /// The database.
    pub db: Database,
    /// Filled by `follower`.
    pub tail: Tail,
    /// The same handle that `tail` was made with.
    pub typing: Typing,
    /// The same handle that `tail` was made with.
    pub presence: Presence,
    /// The same handle that `tail` was made with.
    pub rooms: Rooms,
    /// Follows all shards.
    pub follower: Follower,
    /// The time.
    pub clock: Clock,
    /// `initial_syncs` of it.
    pub limits: Limits,
    /// Requests that may wait at once.
    pub max_parked: usize,
    /// Cancelled when the process is about to end: then nobody waits.
    pub drain: CancellationToken,
}

pub(crate) struct Parts {
    pub(crate) db: Database,
    pub(crate) tail: Tail,
    pub(crate) typing: Typing,
    pub(crate) presence: Presence,
    pub(crate) rooms: Rooms,
    pub(crate) lazy: Lazy,
    pub(crate) unread: Remembered,
    follower: Follower,
    clock: Clock,
    initial: Semaphore,
    parked: Semaphore,
    max_parked: usize,
    drain: CancellationToken,
}

/// Answers `/sync`. A clone is the same handle.
#[derive(Clone)]
pub struct SyncEngine(Arc<Parts>);

/// A request to `GET /_matrix/client/v3/sync`.
pub struct SyncRequest {
    /// Who asks.
    pub user_id: OwnedUserId,
    /// Its number.
    pub user_nid: UserNid,
    /// The device that asks.
    pub device_id: OwnedDeviceId,
    /// Raised when the request came.
    pub barrier: Barrier,
    /// The token, if there is one.
    pub since: Option<String>,
    /// How long to wait for something new.
    pub timeout: Duration,
    /// Tell the whole state of all rooms.
    pub full_state: bool,
    /// Tell the state at the end of the timelines instead of at their start.
    pub use_state_after: bool,
    /// The state of presence that the device asks for; offline: none.
    pub set_presence: State,
    /// What to tell.
    pub filter: FilterDefinition,
}

/// Why there is no response.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// `since` is not a token of this server.
    #[error("not a sync token of this server")]
    BadToken,
    /// Too many requests wait, or build an initial response.
    #[error("too many requests to /sync")]
    Busy,
    /// A read failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl SyncEngine {
    /// An engine over its parts.
    #[must_use]
    pub fn new(parts: SyncParts) -> Self {
        let max_parked = parts.max_parked.min(Semaphore::MAX_PERMITS);
        Self(Arc::new(Parts {
            db: parts.db,
            tail: parts.tail,
            typing: parts.typing,
            presence: parts.presence,
            rooms: parts.rooms,
            lazy: Lazy::new(),
            unread: unread::remembered(),
            follower: parts.follower,
            clock: parts.clock,
            initial: Semaphore::new(parts.limits.initial_syncs.min(Semaphore::MAX_PERMITS)),
            parked: Semaphore::new(max_parked),
            max_parked,
            drain: parts.drain,
        }))
    }

    /// The response's body, a JSON object.
    ///
    /// # Errors
    /// As [`SyncError`] says.
    pub async fn sync(&self, request: &SyncRequest) -> Result<Vec<u8>, SyncError> {
        self.0.presence.synced(request.who(), request.set_presence);
        let fields = request.filter.event_fields.as_deref().map(Fields::new);
        match &request.since {
            None => self.0.initial(request, fields.as_ref()).await,
            Some(text) => {
                let since = SyncToken::decode(text).map_err(|_not_ours| SyncError::BadToken)?;
                self.0.incremental(request, since, fields.as_ref()).await
            }
        }
    }
}

impl Parts {
    async fn initial(
        &self,
        request: &SyncRequest,
        fields: Option<&Fields>,
    ) -> Result<Vec<u8>, SyncError> {
        let Ok(Ok(_turn)) = timeout(INITIAL_TURN, self.initial.acquire()).await else {
            return Err(SyncError::Busy);
        };
        SYNCS.with(&[("kind", "initial")]).increment(1);
        let known = self.members(request, None);
        let mut view = View::new(&self.db, Some(request.barrier.clone()));
        let heads = view.snapshot().await?.heads().await?;
        let mut moment = Moment::of_heads(&heads, Shard::of_user(&request.user_id));
        let list = RoomList::load(&mut view, request.user_nid).await?;
        let typing = self.typing(request, None, &list, &mut moment);
        let mut pass = self.pass(request, None, (moment, known), (view, fields));
        pass.typing = typing;
        let response = answer(&mut pass, &list).await?;
        self.note_members(request, None, &pass);
        Ok(response.finish(&pass.moment.token()))
    }

    async fn incremental(
        &self,
        request: &SyncRequest,
        mut since: SyncToken,
        fields: Option<&Fields>,
    ) -> Result<Vec<u8>, SyncError> {
        let wait = request.timeout.min(LONGEST_WAIT);
        let deadline = Instant::now() + wait;
        let user_shard = Shard::of_user(&request.user_id);
        let asked = since.clone();
        let known = self.members(request, Some(&asked));
        // False: whatever is not there by then is read from PostgreSQL.
        let _caught_up = self
            .follower
            .reached_all(&request.barrier.heads, CATCH_UP)
            .await;
        let committed = Moment::of_heads(&request.barrier.heads, user_shard);
        self.clamp(request, &mut since).await?;
        loop {
            // Before anything is looked at: what changes from here on wakes.
            let watch = self.tail.watch(request.user_nid);
            let seen = Moment::of_tail(&self.tail, self.follower.generation(), user_shard);
            let mut moment = seen.or(&committed);
            let barrier = committed.covers(&moment).then(|| request.barrier.clone());
            let mut view = View::new(&self.db, barrier);
            let is_followed = seen.covers(&moment);
            let list = if is_followed {
                let users = self.tail.users();
                let later = || View::new(&self.db, None);
                let user = (user_shard, request.user_nid);
                let generation = seen.generation;
                let applied = || Moment::of_tail(&self.tail, generation, user_shard);
                users.get(&mut view, user, applied, later).await?
            } else {
                Arc::new(RoomList::load(&mut view, request.user_nid).await?)
            };
            let typing = self.typing(request, Some(&since), &list, &mut moment);
            let place = (moment, known.clone());
            let mut pass = self.pass(request, Some(&since), place, (view, fields));
            pass.is_followed = is_followed;
            pass.typing = typing;
            let response = answer(&mut pass, &list).await?;
            let moment = pass.moment;
            let is_over = Instant::now() >= deadline || self.drain.is_cancelled();
            self.note_members(request, Some(&asked), &pass);
            if !response.is_empty() || request.full_state || is_over {
                return Ok(finish(response, &moment));
            }
            // Nothing up to the moment is for this client: the next look begins there.
            since = moment.token();
            if !self
                .park(request, (watch, &moment), &list, deadline)
                .await?
            {
                return Ok(finish(response, &moment));
            }
        }
    }

    fn pass<'a>(
        &'a self,
        request: &'a SyncRequest,
        since: Option<&'a SyncToken>,
        (moment, known): (Moment, Members),
        (view, fields): (View, Option<&'a Fields>),
    ) -> Pass<'a> {
        let now_ms = self.clock.now_ms();
        Pass {
            engine: self,
            request,
            since,
            moment,
            typing: Told::default(),
            view,
            heads: None,
            is_followed: false,
            fields,
            now_ms,
            ignored: Arc::default(),
            known,
            members: Vec::new(),
        }
    }

    /// The member events that the client has, if it loads them lazily.
    fn members(&self, request: &SyncRequest, since: Option<&SyncToken>) -> Members {
        if filter::is_lazy(&request.filter.room.state) {
            let device = (request.user_nid, &*request.device_id);
            self.lazy.begin(device, since)
        } else {
            Members::default()
        }
    }

    /// What the client will have with the response.
    fn note_members(&self, request: &SyncRequest, since: Option<&SyncToken>, pass: &Pass<'_>) {
        if filter::is_lazy(&request.filter.room.state) {
            let device = (request.user_nid, &*request.device_id);
            let tokens = (since, &pass.moment.token());
            self.lazy.sent(device, tokens, pass.members.iter().copied());
        }
    }

    /// Who types, where that is to be told; the moment gets its place.
    fn typing(
        &self,
        request: &SyncRequest,
        since: Option<&SyncToken>,
        list: &RoomList,
        moment: &mut Moment,
    ) -> Told {
        let known = since.map(|since| (since.typing, since.sees_typing));
        let mut told = self.typing.told(known, list);
        if !typing_is_wanted(request) {
            told.rooms.clear();
            told.sees_typing = false;
        }
        moment.typing = told.now;
        moment.sees_typing = told.sees_typing;
        told
    }

    /// Positions of an older generation count only as far as its history was kept.
    async fn clamp(&self, request: &SyncRequest, since: &mut SyncToken) -> Result<(), SyncError> {
        if since.generation >= request.barrier.heads.generation {
            return Ok(());
        }
        let mut view = View::new(&self.db, Some(request.barrier.clone()));
        let clamps = clamps(view.snapshot().await?, since.generation).await?;
        for (shard, head) in clamps {
            since.rooms.set(shard, since.rooms.get(shard).min(head));
            if shard == Shard::of_user(&request.user_id) {
                since.user = since.user.min(head);
            }
        }
        Ok(())
    }

    /// Waits for something new; false if there was nothing until the deadline or the end of the
    /// process.
    async fn park(
        &self,
        request: &SyncRequest,
        (mut watch, moment): (Watch, &Moment),
        list: &RoomList,
        deadline: Instant,
    ) -> Result<bool, SyncError> {
        let Ok(_place) = self.parked.try_acquire() else {
            return Err(SyncError::Busy);
        };
        self.count_parked();
        let joined = list.values().filter(|room| {
            let now = moment.rooms.get(room.info.shard);
            membership_at(&room.changes, now) == Some(Membership::Join)
        });
        let interest = Interest {
            user: request.user_nid,
            user_shard: Shard::of_user(&request.user_id),
            rooms: joined
                .map(|room| (room.info.shard, room.info.nid))
                .collect(),
        };
        watch.add(&interest, &moment.rooms, moment.user);
        let mut rooms = interest.rooms.iter().map(|(_, room)| *room);
        if typing_is_wanted(request) && self.typing.has_changed(moment.typing, &mut rooms) {
            return Ok(true);
        }
        if presence_is_wanted(request) && self.presence.has_changed(moment.presence) {
            return Ok(true);
        }
        let woken = tokio::select! {
            () = watch.woken() => true,
            () = tokio::time::sleep_until(deadline) => false,
            () = self.drain.cancelled() => false,
            () = self.stay_present(request) => false,
        };
        self.count_parked();
        Ok(woken)
    }

    /// Says again and again that the device is there, for ever.
    async fn stay_present(&self, request: &SyncRequest) {
        let Some(every) = self.presence.refresh() else {
            return std::future::pending().await;
        };
        loop {
            tokio::time::sleep(every).await;
            self.presence.synced(request.who(), request.set_presence);
        }
    }

    fn count_parked(&self) {
        let parked = self
            .max_parked
            .saturating_sub(self.parked.available_permits());
        PARKED.set(f64::from(u32::try_from(parked).unwrap_or(u32::MAX)));
    }
}

impl SyncRequest {
    fn who(&self) -> Who<'_> {
        Who {
            user_nid: self.user_nid,
            user_id: &self.user_id,
            device_id: &self.device_id,
        }
    }
}

fn finish(response: Response, moment: &Moment) -> Vec<u8> {
    let kind = if response.is_empty() {
        "empty"
    } else {
        "incremental"
    };
    SYNCS.with(&[("kind", kind)]).increment(1);
    response.finish(&moment.token())
}
