//! One history: users who act and devices that sync, at random but repeatably.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use reqwest::Method;
use serde_json::Value;

use super::chain::Chain;
use super::world::World;
use crate::sandbox::Shared;
use crate::user::{Reply, User, enc};

/// Users of a history.
const USERS: usize = 5;
/// Most rooms that users make.
pub(crate) const ROOMS: usize = 4;
/// Steps of a history.
pub(crate) const STEPS: usize = 110;

/// Counted over histories.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Stats {
    pub(crate) syncs: usize,
    pub(crate) events: usize,
    pub(crate) pages: usize,
    pub(crate) writes: usize,
    pub(crate) refused: usize,
}

impl Stats {
    /// Adds another history's.
    pub(crate) fn add(&mut self, other: &Self) {
        self.syncs += other.syncs;
        self.events += other.events;
        self.pages += other.pages;
        self.writes += other.writes;
        self.refused += other.refused;
    }
}

/// What went wrong, with the steps before it.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub(crate) step: usize,
    pub(crate) text: String,
}

/// A history that is going on.
pub(crate) struct History {
    pub(crate) world: World,
    /// Each with one or two devices.
    pub(crate) users: Vec<Vec<User>>,
    pub(crate) chains: Vec<Chain>,
    pub(crate) urls: Vec<String>,
    pub(crate) rng: StdRng,
    pub(crate) stats: Stats,
    pub(crate) log: String,
    /// Rooms with events that the model does not have yet.
    pub(crate) behind: Vec<usize>,
    txn: usize,
}

/// Runs those steps of a history that are listed.
pub(crate) async fn run(cluster: &Shared, seed: u64, steps: &[usize]) -> Result<Stats, Failure> {
    let mut history = History::begin(cluster, seed).await;
    for step in steps {
        // Of its own for each step: the others do the same if one is left out.
        history.rng = StdRng::seed_from_u64(seed ^ ((*step as u64 + 1) << 32));
        if let Err(what) = history.step().await {
            let log = &history.log;
            return Err(Failure {
                step: *step,
                text: format!("{log}\n{what}"),
            });
        }
    }
    Ok(history.stats)
}

impl History {
    async fn begin(cluster: &Shared, seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut urls = cluster.readers();
        urls.push(cluster.url().to_owned());
        let names = ["alice", "bob", "carol", "dave", "erin"];
        let users = names[..USERS].iter().map(|name| cluster.user(name));
        let users = futures_util::future::join_all(users).await;
        let mut all = Vec::new();
        let mut chains = Vec::new();
        for user in users {
            let mut devices = vec![user];
            if rng.random_bool(0.4) {
                devices.push(User::login(cluster.url(), &devices[0].id).await);
            }
            for device in &devices {
                chains.push(Chain::new(device.clone(), rng.random_bool(0.3)));
            }
            all.push(devices);
        }
        Self {
            world: World::default(),
            users: all,
            chains,
            urls,
            rng,
            stats: Stats::default(),
            log: String::new(),
            behind: Vec::new(),
            txn: 0,
        }
    }

    async fn step(&mut self) -> Result<(), String> {
        if self.world.rooms.len() < 2 {
            return self.create().await;
        }
        match self.rng.random_range(0..100) {
            0..35 => self.sync().await,
            35..38 if self.world.rooms.len() < ROOMS => self.create().await,
            38 => self.upgrade().await,
            35..66 => self.membership().await,
            66..74 => self.say().await,
            74..79 => self.burst().await,
            79..92 => self.set_state().await,
            92..97 => self.redact().await,
            _ => self.profile().await,
        }
    }

    /// Adds a line to what is printed of a history that fails.
    pub(crate) fn note(&mut self, line: &str) {
        self.log
            .push_str(&format!("  {} {line}\n", self.world.clock));
    }

    /// A user for who reads the steps.
    pub(crate) fn name(&self, user: usize) -> String {
        let id = &self.users[user][0].id;
        id.trim_start_matches('@')
            .split('-')
            .next()
            .unwrap_or(id)
            .to_owned()
    }

    /// One of the user's devices at one of the addresses.
    pub(crate) fn someone(&mut self, user: usize) -> User {
        let url = self.urls.choose(&mut self.rng).unwrap().clone();
        self.users[user].choose(&mut self.rng).unwrap().at(&url)
    }

    /// A number for a user.
    pub(crate) fn any_user(&mut self) -> usize {
        self.rng.random_range(0..self.users.len())
    }

    /// A number for a room.
    pub(crate) fn any_room(&mut self) -> usize {
        self.rng.random_range(0..self.world.rooms.len())
    }

    /// A room, and mostly somebody who is in it.
    pub(crate) fn somewhere(&mut self) -> (usize, usize) {
        let room = self.any_room();
        let within: Vec<usize> = (0..self.users.len())
            .filter(|user| self.world.membership(room, &self.users[*user][0].id) == Some("join"))
            .collect();
        if self.rng.random_bool(0.1) {
            return (room, self.any_user());
        }
        let user = within.choose(&mut self.rng).copied();
        (room, user.unwrap_or(0))
    }

    /// A transaction id.
    pub(crate) fn txn(&mut self) -> String {
        self.txn += 1;
        format!("t{}", self.txn)
    }

    /// A write; `None` if it was refused. Its room is to be read again.
    pub(crate) async fn write(
        &mut self,
        (user, room): (&User, usize),
        (method, path, body): (Method, String, Value),
        what: &str,
    ) -> Result<Option<Value>, String> {
        let path = path.replace("{room}", &enc(&self.world.rooms[room].id));
        let reply = user.call(method, &path, Some(&body)).await;
        self.taken((user, room), reply, what)
    }

    pub(crate) fn taken(
        &mut self,
        (user, room): (&User, usize),
        reply: Reply,
        what: &str,
    ) -> Result<Option<Value>, String> {
        let number = self
            .users
            .iter()
            .position(|devices| devices[0].id == user.id);
        let name = number.map(|number| self.name(number)).unwrap_or_default();
        let (status, id) = (
            reply.status,
            reply.body["event_id"].as_str().unwrap_or_default(),
        );
        self.note(&format!("{name} {what} in room {room}: {status} {id}"));
        if !self.behind.contains(&room) {
            self.behind.push(room);
        }
        match reply.status {
            200 => {
                self.stats.writes += 1;
                Ok(Some(reply.body))
            }
            400..500 => {
                self.stats.refused += 1;
                Ok(None)
            }
            _ => Err(format!("{what}: {status} {}", reply.body)),
        }
    }

    /// Reads what has become of the rooms that were written to.
    pub(crate) async fn catch_up(&mut self) -> Result<(), String> {
        for room in std::mem::take(&mut self.behind) {
            let creator = self.world.rooms[room].creator.clone();
            let reader = self.users.iter().find(|devices| devices[0].id == creator);
            let reader = reader.ok_or("no creator")?[0].clone();
            let last = self.world.rooms[room]
                .events
                .last()
                .map(|event| event.id.clone());
            let new = newest(&reader, &self.world.rooms[room].id, last).await?;
            for event in new {
                self.world.add(room, &event);
            }
        }
        Ok(())
    }
}

/// The room's events after one, the oldest first.
async fn newest(reader: &User, room: &str, last: Option<String>) -> Result<Vec<Value>, String> {
    for limit in [40, 1_000] {
        let path = format!("/rooms/{}/messages?dir=b&limit={limit}", enc(room));
        let page = reader.get(&path).await;
        if page.status != 200 {
            return Err(format!("{path}: {} {}", page.status, page.body));
        }
        let chunk = page.body["chunk"].as_array().cloned().unwrap_or_default();
        let is_last = |event: &Value| event["event_id"].as_str() == last.as_deref();
        let known = chunk
            .iter()
            .position(|event| last.is_some() && is_last(event));
        if known.is_some() || chunk.len() < limit {
            let mut new = chunk;
            if let Some(known) = known {
                new.truncate(known);
            } else if last.is_some() {
                return Err(format!("{room}: {last:?} is gone from /messages"));
            }
            new.reverse();
            return Ok(new);
        }
    }
    Err(format!("{room} has too many events"))
}
