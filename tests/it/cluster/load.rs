//! People who talk without a pause while things break, and what must hold for all that they saw.
//!
//! Each writer sends with transaction ids of its own and repeats the same one until it is
//! acknowledged. Each member follows a chain of sync tokens and repeats the same token until it is
//! answered. At the end ([`Load::end`]) every chain must hold every acknowledged event once, in the
//! order of the log.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::sandbox::eventually;
use crate::user::{User, enc};

/// Between two messages of one writer, so that two cores are busy but not drowned.
const PAUSE: Duration = Duration::from_millis(100);
/// Between a failure and the next try.
const RETRY: Duration = Duration::from_millis(50);
/// How long the chains may take to show what was acknowledged last.
const CAUGHT_UP: Duration = Duration::from_secs(20);

/// A message that was acknowledged.
#[derive(Debug, Clone)]
pub(crate) struct Ack {
    pub(crate) room: String,
    txn: String,
    event_id: String,
    /// When it was sent for the first time.
    pub(crate) sent: Instant,
    pub(crate) at: Instant,
}

/// What everybody notes down.
#[derive(Debug, Default)]
struct Notes {
    acks: Vec<Ack>,
    /// Requests that were not answered with 200.
    failures: Vec<String>,
    /// When each member saw each event first.
    seen: HashMap<(usize, String), Instant>,
    /// Timelines that were `limited`.
    limited: usize,
}

type Book = Arc<Mutex<Notes>>;

/// A load that is going on.
pub(crate) struct Load {
    members: Vec<User>,
    rooms: Vec<String>,
    book: Book,
    writing: watch::Sender<bool>,
    reading: watch::Sender<bool>,
    writers: Vec<JoinHandle<()>>,
    readers: Vec<JoinHandle<Chain>>,
}

/// What a load has come to.
pub(crate) struct Outcome {
    pub(crate) acks: Vec<Ack>,
    pub(crate) failures: Vec<String>,
    pub(crate) limited: usize,
}

impl Load {
    /// All `members` join `rooms` and follow them; the first two write. A request that is not
    /// answered within `patience` is given up and repeated.
    pub(crate) async fn start(members: Vec<User>, rooms: Vec<String>, patience: Duration) -> Self {
        for member in &members {
            for room in &rooms {
                member.join(room).await.ok();
            }
        }
        let book = Book::default();
        let (writing, _) = watch::channel(true);
        let (reading, _) = watch::channel(true);
        let mut readers = Vec::new();
        for (number, member) in members.iter().enumerate() {
            let chain = Chain::begin(number, member.clone(), patience, book.clone()).await;
            readers.push(tokio::spawn(chain.follow(reading.subscribe())));
        }
        let mut writers = Vec::new();
        for member in members.iter().take(2) {
            for room in &rooms {
                let writer = Writer {
                    user: member.clone(),
                    room: room.clone(),
                    patience,
                    book: book.clone(),
                };
                writers.push(tokio::spawn(writer.write(writing.subscribe())));
            }
        }
        Self {
            members,
            rooms,
            book,
            writing,
            reading,
            writers,
            readers,
        }
    }

    /// Waits until `count` more messages, sent after this moment, are acknowledged in each room.
    pub(crate) async fn goes_on(&self, count: usize, limit: Duration) {
        let from = Instant::now();
        let enough = async || {
            let notes = open(&self.book);
            self.rooms.iter().all(|room| {
                let later = |ack: &&Ack| ack.room == *room && ack.sent > from;
                notes.acks.iter().filter(later).count() >= count
            })
        };
        assert!(
            eventually(limit, enough).await,
            "writers stand still; the last failures: {:#?}",
            open(&self.book)
                .failures
                .iter()
                .rev()
                .take(5)
                .collect::<Vec<_>>()
        );
    }

    /// Waits until every member has seen all that is acknowledged by now.
    pub(crate) async fn catches_up(&self, limit: Duration) {
        let acks = open(&self.book).acks.clone();
        let missing = || -> Vec<(usize, Ack)> {
            let notes = open(&self.book);
            let unseen = |member: usize| {
                let seen = &notes.seen;
                acks.iter()
                    .filter(move |ack| !seen.contains_key(&(member, ack.event_id.clone())))
                    .map(move |ack| (member, ack.clone()))
            };
            (0..self.members.len()).flat_map(unseen).collect()
        };
        let caught_up = eventually(limit, async || missing().is_empty()).await;
        let missing = missing();
        assert!(
            caught_up,
            "{} acknowledged events were not delivered, such as {:#?}",
            missing.len(),
            missing.first()
        );
    }

    /// The longest time between two acknowledgements in one room, of which one is after `from`.
    pub(crate) fn longest_gap(&self, from: Instant) -> Duration {
        let notes = open(&self.book);
        let gaps = self.rooms.iter().flat_map(|room| {
            let mut times: Vec<Instant> = notes
                .acks
                .iter()
                .filter(|ack| ack.room == *room)
                .map(|ack| ack.at)
                .collect();
            times.sort_unstable();
            let later = |pair: &&[Instant]| pair[1] > from;
            let pairs: Vec<Duration> = times
                .windows(2)
                .filter(later)
                .map(|pair| pair[1] - pair[0])
                .collect();
            pairs
        });
        gaps.max().unwrap_or(Duration::MAX)
    }

    /// The longest that a message sent after `from` took to be acknowledged, and to be seen by the
    /// last member.
    pub(crate) fn slowest(&self, from: Instant) -> (Duration, Duration) {
        let notes = open(&self.book);
        let mut slowest = (Duration::ZERO, Duration::ZERO);
        for ack in notes.acks.iter().filter(|ack| ack.sent > from) {
            slowest.0 = slowest.0.max(ack.at - ack.sent);
            for member in 0..self.members.len() {
                if let Some(seen) = notes.seen.get(&(member, ack.event_id.clone())) {
                    slowest.1 = slowest.1.max(*seen - ack.sent);
                }
            }
        }
        slowest
    }

    /// Ends the writers, lets the chains catch up, and holds them against the log.
    pub(crate) async fn end(mut self) -> Outcome {
        self.writing.send_replace(false);
        for writer in self.writers.drain(..) {
            writer.await.unwrap();
        }
        self.catches_up(CAUGHT_UP).await;
        self.reading.send_replace(false);
        let mut chains = Vec::new();
        for reader in self.readers.drain(..) {
            chains.push(reader.await.unwrap());
        }
        for room in &self.rooms {
            self.check(room, &chains).await;
        }
        let notes = std::mem::take(&mut *open(&self.book));
        // Who cannot be served for a moment is told so, or finds nobody: nothing breaks inside.
        let inside = |failure: &&String| failure.contains(": 500: ");
        let broken: Vec<&String> = notes.failures.iter().filter(inside).collect();
        assert!(broken.is_empty(), "{broken:#?}");
        Outcome {
            acks: notes.acks,
            failures: notes.failures,
            limited: notes.limited,
        }
    }

    /// What must hold for a room.
    async fn check(&self, room: &str, chains: &[Chain]) {
        let first = &chains[0];
        let log = read_forward(&first.user, room, &first.began).await;
        let order: Vec<&String> = log.iter().map(|(id, _)| id).collect();
        for chain in chains {
            let seen = chain.events.get(room).map_or(&[][..], Vec::as_slice);
            let seen: Vec<&String> = seen.iter().collect();
            assert_eq!(
                seen, order,
                "{room}: the chain of {} (left) and /messages differ",
                chain.user.id
            );
        }
        let mut acknowledged = BTreeMap::new();
        for ack in open(&self.book).acks.iter().filter(|ack| ack.room == room) {
            let earlier = acknowledged.insert(ack.event_id.clone(), ack.txn.clone());
            assert_eq!(earlier, None, "two transactions got one event");
        }
        // The texts are the transaction ids: no event beyond those acknowledged, none twice.
        let stored: BTreeMap<String, String> = log.iter().cloned().collect();
        assert_eq!(stored.len(), log.len(), "{room}: an event twice");
        assert_eq!(
            stored, acknowledged,
            "{room}: the log and what was acknowledged"
        );
        let texts: BTreeSet<&String> = stored.values().collect();
        assert_eq!(texts.len(), stored.len(), "{room}: a transaction twice");
    }
}

fn open(book: &Book) -> MutexGuard<'_, Notes> {
    book.lock().unwrap()
}

struct Writer {
    user: User,
    room: String,
    patience: Duration,
    book: Book,
}

impl Writer {
    async fn write(self, going_on: watch::Receiver<bool>) {
        let run = rand::random::<u32>();
        for number in 0.. {
            if !*going_on.borrow() {
                return;
            }
            self.send(format!("{run:08x}-{number}")).await;
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Sends one message until it is acknowledged.
    async fn send(&self, txn: String) {
        let path = format!(
            "/rooms/{}/send/m.room.message/{}",
            enc(&self.room),
            enc(&txn)
        );
        let body = json!({"msgtype": "m.text", "body": txn});
        let sent = Instant::now();
        let answer = persist(
            &self.user,
            (Method::PUT, &path, Some(&body)),
            self.patience,
            &self.book,
        );
        let event_id = answer.await["event_id"].as_str().unwrap().to_owned();
        open(&self.book).acks.push(Ack {
            room: self.room.clone(),
            txn,
            event_id,
            sent,
            at: Instant::now(),
        });
    }
}

/// The same request until it is answered with 200.
async fn persist(
    user: &User,
    (method, path, body): (Method, &str, Option<&Value>),
    patience: Duration,
    book: &Book,
) -> Value {
    loop {
        let began = Instant::now();
        match user.attempt(method.clone(), path, body, patience).await {
            Ok(body) => return body,
            Err(error) => {
                let took = began.elapsed();
                let failure = format!("{method} {path} of {} after {took:?}: {error}", user.id);
                open(book).failures.push(failure);
            }
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// A member's chain of sync tokens.
struct Chain {
    number: usize,
    user: User,
    patience: Duration,
    book: Book,
    /// The third member takes small steps: its timelines are `limited` often.
    filter: String,
    /// The first token.
    began: String,
    since: String,
    /// The last event of each room before the chain.
    before: BTreeMap<String, String>,
    /// The events of each room, in the order in which they were delivered.
    events: BTreeMap<String, Vec<String>>,
}

impl Chain {
    async fn begin(number: usize, user: User, patience: Duration, book: Book) -> Self {
        let first = user.sync(None, "").await;
        let token = first["next_batch"].as_str().unwrap().to_owned();
        let rooms = first["rooms"]["join"].as_object().unwrap();
        let last = |(room, joined): (&String, &Value)| {
            let last = ids(&joined["timeline"]["events"]).pop().unwrap();
            (room.clone(), last)
        };
        let filter = match number {
            2 => format!("&filter={}", enc(r#"{"room":{"timeline":{"limit":1}}}"#)),
            _ => String::new(),
        };
        Self {
            before: rooms.iter().map(last).collect(),
            events: BTreeMap::new(),
            began: token.clone(),
            since: token,
            filter,
            number,
            user,
            patience,
            book,
        }
    }

    async fn follow(mut self, going_on: watch::Receiver<bool>) -> Self {
        while *going_on.borrow() {
            let path = format!("/sync?timeout=1000&since={}{}", self.since, self.filter);
            let body = self.get(&path).await;
            if let Some(rooms) = body["rooms"]["join"].as_object() {
                for (room, joined) in rooms {
                    self.take(room, &joined["timeline"]).await;
                }
            }
            self.since = body["next_batch"].as_str().unwrap().to_owned();
        }
        self
    }

    async fn get(&self, path: &str) -> Value {
        persist(
            &self.user,
            (Method::GET, path, None),
            self.patience,
            &self.book,
        )
        .await
    }

    async fn take(&mut self, room: &str, timeline: &Value) {
        let mut events = ids(&timeline["events"]);
        if timeline["limited"] == true {
            open(&self.book).limited += 1;
            let prev_batch = timeline["prev_batch"].as_str().unwrap();
            let mut missed = self.read_back(room, prev_batch).await;
            missed.append(&mut events);
            events = missed;
        }
        let now = Instant::now();
        let mut notes = open(&self.book);
        for event in &events {
            let key = (self.number, event.clone());
            notes.seen.entry(key).or_insert(now);
        }
        let chain = self.events.entry(room.to_owned()).or_default();
        chain.append(&mut events);
    }

    /// What lies between what is known of a room and `from`, oldest first.
    async fn read_back(&self, room: &str, from: &str) -> Vec<String> {
        let known = |id: &String| {
            self.before.get(room) == Some(id)
                || self
                    .events
                    .get(room)
                    .is_some_and(|events| events.contains(id))
        };
        let mut missed = Vec::new();
        let mut from = from.to_owned();
        loop {
            let path = format!("/rooms/{}/messages?dir=b&limit=20&from={from}", enc(room));
            let page = self.get(&path).await;
            for id in ids(&page["chunk"]) {
                if known(&id) {
                    missed.reverse();
                    return missed;
                }
                missed.push(id);
            }
            from = page["end"]
                .as_str()
                .expect("known events lie further back")
                .to_owned();
        }
    }
}

fn ids(events: &Value) -> Vec<String> {
    let events = events.as_array().map(Vec::as_slice).unwrap_or_default();
    events
        .iter()
        .map(|event| event["event_id"].as_str().unwrap().to_owned())
        .collect()
}

/// A room's events from a token on as `/messages` tells them: id and text.
async fn read_forward(user: &User, room: &str, from: &str) -> Vec<(String, String)> {
    let mut log = Vec::new();
    let mut from = from.to_owned();
    loop {
        let path = format!("/rooms/{}/messages?dir=f&limit=100&from={from}", enc(room));
        let page = user.get(&path).await.ok();
        let chunk = page["chunk"].as_array().unwrap();
        for event in chunk {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            log.push((text(&event["event_id"]), text(&event["content"]["body"])));
        }
        match page["end"].as_str() {
            Some(end) if !chunk.is_empty() => from = end.to_owned(),
            _ => return log,
        }
    }
}
