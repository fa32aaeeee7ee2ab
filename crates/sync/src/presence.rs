//! Who is there (client-server API, "Presence").
//!
//! A device that syncs says so every now and then in a Redis stream; every instance derives from that and
//! the time who is there, and tells those who share a room. Only the status message and the time of the
//! last activity are written to PostgreSQL, by the owner of the user's shard.

mod derive;
mod following;
mod people;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ganglion_cluster::Commands;
use ganglion_config::Presence as Settings;
use ganglion_model::{Clock, CommandId, RoomNid, SoftPlace, UserNid};
use ganglion_proto::persister::user_command::Command;
use ganglion_proto::persister::{SetPresence, StatusMessage};
use ganglion_proto::soft;
use ganglion_storage::Database;
use ganglion_stream::Streams;
use moka::sync::Cache;
use ruma::{DeviceId, OwnedUserId, UserId};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::metrics::PRESENCE_NOT_KEPT;
use crate::soft::{Publisher, follow};
use crate::tail::Tail;
pub use derive::State;
use derive::Times;
use following::Following;
use people::People;
pub(crate) use people::{Asking, Shown};

/// The stream's name.
const STREAM: &str = "presence";
/// Entries kept in Redis.
const LENGTH: usize = 100_000;
/// Devices of which this process remembers what it said of them last.
const DEVICES: u64 = 200_000;
/// How often the last state of a user is written, and how many such writes may be under way.
const KEEP_EVERY: Duration = Duration::from_mins(1);
const KEEPING: usize = 32;

/// The presence of all users, as all instances see it. A clone is the same handle.
#[derive(Clone)]
pub struct Presence(Option<Arc<Inner>>);

struct Inner {
    people: Mutex<People>,
    publisher: Publisher,
    /// What was said last of each device, so that it is not said too often.
    said: Cache<(UserNid, String), State>,
    /// Whose state was written lately.
    kept: Cache<UserNid, ()>,
    keeping: Arc<Semaphore>,
    commands: Commands,
    clock: Clock,
    tasks: TaskTracker,
    settings: Settings,
    /// Redis cannot be reached.
    away: AtomicBool,
}

/// What presence works with.
pub struct PresenceParts {
    /// Where the devices say that they are there.
    pub streams: Streams,
    /// For the rooms of users.
    pub db: Database,
    /// For writing what is kept.
    pub commands: Commands,
    /// The time.
    pub clock: Clock,
    /// The configuration.
    pub settings: Settings,
    /// Ends the tasks.
    pub stop: CancellationToken,
    /// Where the tasks run.
    pub tasks: TaskTracker,
}

/// A user's presence, for who asks for it; by default that of who was never there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PresenceNow {
    /// The state.
    pub state: State,
    /// Whether the user was active just now.
    pub currently_active: bool,
    /// Milliseconds since the last activity, if it is known.
    pub last_active_ago: Option<i64>,
    /// The status message.
    pub status_msg: Option<String>,
}

/// A device of a user.
#[derive(Debug, Clone, Copy)]
pub struct Who<'a> {
    /// The user's number.
    pub user_nid: UserNid,
    /// The user.
    pub user_id: &'a UserId,
    /// The device.
    pub device_id: &'a DeviceId,
}

impl Presence {
    /// The handle, and what to start once there is a tail ([`PresenceStart::start`]). Where the
    /// configuration switches presence off, all of it does nothing.
    #[must_use]
    pub fn new(parts: PresenceParts) -> (Self, PresenceStart) {
        if !parts.settings.enabled {
            return (
                Self(None),
                PresenceStart {
                    handle: Self(None),
                    parts,
                },
            );
        }
        let stream = parts.streams.soft(STREAM, LENGTH);
        let (publisher, adding) = Publisher::new(STREAM, stream, parts.stop.clone());
        parts.tasks.spawn(adding);
        let refresh = Duration::from_millis(parts.settings.refresh_ms);
        let said = Cache::builder().max_capacity(DEVICES).time_to_live(refresh);
        let kept = Cache::builder()
            .max_capacity(DEVICES)
            .time_to_live(KEEP_EVERY);
        let inner = Inner {
            people: Mutex::new(People::new(Times::new(&parts.settings))),
            publisher,
            said: said.build(),
            kept: kept.build(),
            keeping: Arc::new(Semaphore::new(KEEPING)),
            commands: parts.commands.clone(),
            clock: parts.clock.clone(),
            tasks: parts.tasks.clone(),
            settings: parts.settings.clone(),
            away: AtomicBool::new(true),
        };
        let handle = Self(Some(Arc::new(inner)));
        (handle.clone(), PresenceStart { handle, parts })
    }

    /// One that is switched off.
    #[cfg(test)]
    pub(crate) fn off() -> Self {
        Self(None)
    }

    /// Whether there is presence at all.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.0.is_some()
    }

    /// How often [`Presence::synced`] is to be called while a request waits; `None`: never.
    pub(crate) fn refresh(&self) -> Option<Duration> {
        let inner = self.0.as_ref()?;
        Some(Duration::from_millis(inner.settings.refresh_ms))
    }

    /// A device syncs and asks for a state; offline leaves it as it is. To come into the state online is
    /// an activity.
    pub(crate) fn synced(&self, who: Who<'_>, asked: State) {
        let Some(inner) = self.0.as_ref().filter(|_| asked != State::Offline) else {
            return;
        };
        let place = (who.user_nid, who.device_id.to_string());
        if inner.said.get(&place) == Some(asked) {
            return;
        }
        let ago = {
            let people = inner.people();
            let person = people.person(who.user_nid);
            let device = person.and_then(|person| person.device(place.1.as_str()));
            let now = people.now_ms();
            let offline = i64::try_from(inner.settings.offline_ms).unwrap_or(i64::MAX);
            let device = device.filter(|device| now < device.last_seen.saturating_add(offline));
            match device {
                Some(device) if asked != State::Online || device.asked == State::Online => {
                    Some(device.last_active)
                        .filter(|at| *at > 0)
                        .map(|at| (now - at).max(0))
                }
                _ => (asked == State::Online).then_some(0),
            }
        };
        inner.say(who, asked, ago);
    }

    /// The user has done something on a device, such as sending a message: who is there is online again.
    pub fn active(&self, who: Who<'_>) {
        let Some(inner) = &self.0 else { return };
        let is_news = {
            let people = inner.people();
            let person = people.person(who.user_nid);
            let device = person.and_then(|person| person.device(who.device_id.as_str()));
            let now = people.now_ms();
            let recent = i64::try_from(inner.settings.active_ms / 3).unwrap_or(i64::MAX);
            // Who hides, or does not sync, stays offline.
            device.is_some_and(|device| {
                device.asked == State::Unavailable
                    || device.asked == State::Online && now - device.last_active >= recent
            })
        };
        if is_news {
            inner.say(who, State::Online, Some(0));
        }
    }

    /// The user sets state and status message. Returns when a new status message is kept.
    ///
    /// # Errors
    /// As [`Commands::user`].
    pub async fn set(
        &self,
        who: Who<'_>,
        state: State,
        status: Option<String>,
    ) -> Result<(), ganglion_model::MatrixError> {
        let Some(inner) = &self.0 else { return Ok(()) };
        let now = inner.clock.now_ms();
        let active = state == State::Online;
        let command = Command::SetPresence(SetPresence {
            state: state.number(),
            last_active_ms: if active { now } else { 0 },
            status: Some(StatusMessage {
                text: status.clone(),
            }),
        });
        // Always: only the owner knows whether it is another one, and which is the last.
        let done = inner
            .commands
            .user(who.user_id, CommandId::random(), command)
            .await?;
        let status = done.value.parse().ok().map(|at_ms| soft::Status {
            text: status,
            at_ms,
        });
        inner.publish(who, state, active.then_some(0), status);
        Ok(())
    }

    /// A user's presence, if anything was heard of it lately.
    #[must_use]
    pub fn of(&self, user: UserNid) -> Option<PresenceNow> {
        let people = self.0.as_ref()?.people();
        let person = people.person(user).filter(|person| person.is_heard_of())?;
        let shown = person.show(people.now_ms());
        Some(PresenceNow {
            state: shown.state,
            currently_active: shown.currently_active,
            last_active_ago: shown.last_active_ago,
            status_msg: shown.status.as_deref().map(str::to_owned),
        })
    }

    /// True if two users are surely in the same room, as far as the logs are applied here.
    pub(crate) fn share_room(&self, user: UserNid, other: UserNid) -> bool {
        let inner = self.0.as_ref();
        inner.is_some_and(|inner| inner.people().share_room(user, other))
    }

    /// Whether nothing is heard of anybody because Redis is away.
    #[must_use]
    pub fn is_away(&self) -> bool {
        let inner = self.0.as_ref();
        inner.is_some_and(|inner| inner.away.load(Ordering::Relaxed))
    }

    /// A user has joined a room, or is no more in it.
    pub(crate) fn member(&self, user: UserNid, room: RoomNid, joined: bool) {
        if let Some(inner) = &self.0 {
            inner.people().member(user, room, joined);
        }
    }

    /// Membership changes may have been missed.
    pub(crate) fn rooms_are_stale(&self) {
        if let Some(inner) = &self.0 {
            inner.people().rooms_are_stale();
        }
    }

    /// What is to be told, and the place for the token.
    pub(crate) fn told(&self, asking: &Asking<'_>) -> (Vec<Shown>, SoftPlace) {
        match &self.0 {
            Some(inner) => inner.people().told(asking),
            None => (Vec::new(), asking.since.unwrap_or_default()),
        }
    }

    /// Whether somebody else in one of these rooms, which are in order, may have changed after a place.
    #[must_use]
    pub(crate) fn has_changed_in(
        &self,
        since: SoftPlace,
        user: UserNid,
        rooms: &[RoomNid],
    ) -> bool {
        let inner = self.0.as_ref();
        inner.is_some_and(|inner| inner.people().has_changed_in(since, user, rooms))
    }

    /// Whether somebody may have changed after a place.
    #[must_use]
    pub(crate) fn has_changed(&self, since: SoftPlace) -> bool {
        let inner = self.0.as_ref();
        inner.is_some_and(|inner| inner.people().has_changed(since))
    }
}

impl Inner {
    fn people(&self) -> MutexGuard<'_, People> {
        self.people.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn say(&self, who: Who<'_>, state: State, ago: Option<i64>) {
        let status = self.people().person(who.user_nid).and_then(|person| {
            (person.status_at > 0).then(|| soft::Status {
                text: person.status.as_deref().map(str::to_owned),
                at_ms: person.status_at,
            })
        });
        self.publish(who, state, ago, status);
        if self.kept.contains_key(&who.user_nid) {
            return;
        }
        self.kept.insert(who.user_nid, ());
        self.keep(who.user_id.to_owned(), state, ago);
    }

    fn publish(&self, who: Who<'_>, state: State, ago: Option<i64>, status: Option<soft::Status>) {
        let device_id = who.device_id.to_string();
        self.said.insert((who.user_nid, device_id.clone()), state);
        self.publisher.add(&soft::Presence {
            user_nid: who.user_nid.0,
            user_id: who.user_id.to_string(),
            device_id,
            state: state.number(),
            active_ago_ms: ago,
            status,
        });
    }

    /// Writes the last state, without anybody waiting for it; the next minute does it again.
    fn keep(&self, user_id: OwnedUserId, state: State, ago: Option<i64>) {
        let Ok(place) = self.keeping.clone().try_acquire_owned() else {
            PRESENCE_NOT_KEPT.increment(1);
            return;
        };
        let now = self.clock.now_ms();
        let commands = self.commands.clone();
        self.tasks.spawn(async move {
            let command = Command::SetPresence(SetPresence {
                state: state.number(),
                last_active_ms: ago.map_or(0, |ago| now.saturating_sub(ago)),
                status: None,
            });
            if let Err(error) = commands.user(&user_id, CommandId::random(), command).await {
                PRESENCE_NOT_KEPT.increment(1);
                tracing::debug!(user.id = %user_id, error = %error, "presence was not kept");
            }
            drop(place);
        });
    }
}

/// Presence that does not follow its stream yet.
pub struct PresenceStart {
    handle: Presence,
    parts: PresenceParts,
}

impl PresenceStart {
    /// Starts to follow the stream, and to wake those who wait in `tail`.
    pub fn start(self, tail: Tail) {
        let Some(inner) = self.handle.0 else { return };
        let PresenceParts {
            streams,
            db,
            settings,
            stop,
            tasks,
            ..
        } = self.parts;
        let following = Following::new(inner, db, tail);
        let stream = streams.soft(STREAM, LENGTH);
        let back = Duration::from_millis(settings.offline_ms);
        let waking = following.waking(stop.clone());
        tasks.spawn(waking);
        tasks.spawn(following.reloading(stop.clone()));
        tasks.spawn(async move { follow(STREAM, stream, &following, back, stop).await });
    }
}
