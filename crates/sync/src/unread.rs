//! How many unread notifications a joined room has for the user (client-server API, "Receiving
//! notifications"; docs/architecture.md, "Unread counts").
//!
//! Read once from PostgreSQL, from the running counts, then kept up to date from the tail.

use std::collections::BTreeMap;
use std::sync::Arc;

use ganglion_model::{Counts, Generation, Membership, Position, RoomNid, Shard, UserNid, Verdict};
use ganglion_rooms::RoomEvent;
use ganglion_storage::StorageError;
use ganglion_storage::memberships::MembershipRecord;
use ganglion_storage::timeline::{self as stored, Range};
use ganglion_storage::unread::{self, Reading};
use moka::sync::Cache;
use ruma::push::Ruleset;
use serde_json::{Value, json};

use crate::answer::Pass;
use crate::tail::Entry;
use crate::users::UserRoom;

/// Rooms of users that are remembered.
const REMEMBERED: u64 = 100_000;
/// Events that nobody has judged for the user yet and that one response judges at most; those beyond,
/// while pusher is away for long, count by the default rules.
const MOST_JUDGED: i64 = 1_000;

/// The main timeline among the parts of a room.
const MAIN: &str = "";

/// What is remembered of rooms.
pub(crate) type Remembered = Cache<(UserNid, RoomNid), Arc<Unread>>;

/// Nothing is remembered yet.
pub(crate) fn remembered() -> Remembered {
    Cache::new(REMEMBERED)
}

/// The counts of one user in one room, by thread; what has none is not listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unread {
    generation: Generation,
    /// Up to where is counted.
    at: Position,
    /// The receipts that are taken into account: the thread (`""`: unthreaded), and up to where.
    read: BTreeMap<String, Position>,
    parts: BTreeMap<String, Part>,
}

/// A thread, or the main timeline.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Part {
    counts: Counts,
    /// Everything that is counted lies above.
    after: Position,
    /// Everything that is counted lies at or below.
    last: Position,
}

impl Unread {
    fn new(generation: Generation, at: Position, read: BTreeMap<String, Position>) -> Self {
        Self {
            generation,
            at,
            read,
            parts: BTreeMap::new(),
        }
    }

    /// Up to where a part is read by receipts.
    fn read_up_to(&self, part: &str) -> Position {
        let threaded = if part == MAIN { "main" } else { part };
        let of = |thread: &str| self.read.get(thread).copied().unwrap_or(Position::MIN);
        of("").max(of(threaded))
    }

    /// Counts one more event of the part.
    fn add(&mut self, part: &str, pos: Position, verdict: Verdict) {
        if verdict == Verdict::default() || pos <= self.read_up_to(part) {
            return;
        }
        let part = self.parts.entry(part.to_owned()).or_insert(Part {
            after: pos - 1,
            ..Part::default()
        });
        part.counts.add(verdict);
        part.last = pos;
    }

    /// The user has sent an event: that reads its part. A join reads everything before it.
    fn sent(&mut self, part: &str, is_join: bool) {
        if is_join {
            self.parts.clear();
        } else {
            self.parts.remove(part);
        }
    }

    /// Takes newer receipts into account. False if one of them stops in the middle of what is
    /// counted: how much is behind it is not known here.
    fn read(&mut self, read: BTreeMap<String, Position>) -> bool {
        self.read = read;
        let mut known = true;
        let parts = std::mem::take(&mut self.parts);
        for (name, part) in parts {
            let up_to = self.read_up_to(&name);
            if up_to >= part.last {
                continue;
            }
            known &= up_to <= part.after;
            self.parts.insert(name, part);
        }
        known
    }

    /// Appends the members of the room's JSON object, with a comma before each.
    pub(crate) fn write(&self, out: &mut Vec<u8>, by_thread: bool) {
        let clamped = |counts: Counts| {
            json!({
                "highlight_count": counts.highlight.max(0),
                "notification_count": counts.notify.max(0),
            })
        };
        let threads = self.parts.iter().filter(|(name, _)| *name != MAIN);
        let main = self.parts.get(MAIN).copied().unwrap_or_default().counts;
        let room = if by_thread {
            main
        } else {
            threads
                .clone()
                .fold(main, |sum, (_, part)| sum + part.counts)
        };
        out.extend_from_slice(b",\"unread_notifications\":");
        out.extend_from_slice(clamped(room).to_string().as_bytes());
        if by_thread {
            let threads: serde_json::Map<String, Value> = threads
                .filter(|(_, part)| part.counts.notify > 0)
                .map(|(root, part)| (root.clone(), clamped(part.counts)))
                .collect();
            out.extend_from_slice(b",\"unread_thread_notifications\":");
            out.extend_from_slice(Value::from(threads).to_string().as_bytes());
        }
    }
}

/// The counts of a joined room at the response's moment, or a little later.
///
/// # Errors
/// If they are not in memory and cannot be read.
pub(crate) async fn of_room(
    pass: &mut Pass<'_>,
    room: &UserRoom,
) -> Result<Arc<Unread>, StorageError> {
    let info = &room.info;
    let now = pass.moment.rooms.get(info.shard);
    let own = pass.own_receipts().await?;
    let mut read: BTreeMap<String, Position> = own
        .read_up_to(info.nid)
        .into_iter()
        .map(|(thread, pos)| (thread.to_owned(), pos))
        .collect();
    let joined = read.entry(String::new()).or_insert(Position::MIN);
    *joined = joined_at(&room.changes, now).max(*joined);
    let rules = pass.own_rules().await?;
    let key = (pass.request.user_nid, info.nid);
    let known = pass.engine.unread.get(&key);
    let known = known.filter(|known| known.generation == pass.moment.generation);
    if let Some(known) = &known {
        // Another device's response is ahead of this one: the next response brings what it counted.
        if known.at >= now && known.read == read {
            return Ok(known.clone());
        }
    }
    let advanced = match known.filter(|known| known.at <= now) {
        Some(known) => advance(pass, room, &known, (&read, now), rules.as_deref()).await?,
        None => None,
    };
    let unread = match advanced {
        Some(unread) => unread,
        None => load(pass, room, (read, now), rules.as_deref()).await?,
    };
    let unread = Arc::new(unread);
    if pass.is_followed {
        pass.engine.unread.insert(key, unread.clone());
    }
    Ok(unread)
}

/// Since when the user is in the room.
fn joined_at(changes: &[MembershipRecord], now: Position) -> Position {
    let mut since = Position::MIN;
    let mut joined = false;
    for change in changes.iter().take_while(|change| change.pos <= now) {
        let joins = change.membership == Membership::Join;
        if joins && !joined {
            since = change.pos;
        }
        joined = joins;
    }
    since
}

/// What is known, with what the log brought since; `None` if that is not in memory.
async fn advance(
    pass: &mut Pass<'_>,
    room: &UserRoom,
    known: &Unread,
    (read, now): (&BTreeMap<String, Position>, Position),
    rules: Option<&Ruleset>,
) -> Result<Option<Unread>, StorageError> {
    let info = &room.info;
    let range = Range {
        after: known.at,
        up_to: now,
    };
    let tail = &pass.engine.tail;
    let Some(entries) = tail.of_room(info.shard, info.nid, range, usize::MAX) else {
        return Ok(None);
    };
    let mut unread = known.clone();
    unread.at = now;
    for (pos, entry) in entries.into_iter().rev() {
        let Entry::Event { event, .. } = entry else {
            continue;
        };
        let part = event.thread.as_deref().unwrap_or(MAIN);
        if event.sender == pass.request.user_id.as_str() {
            let is_join = event.membership == Some(Membership::Join)
                && event.target == Some(pass.request.user_nid)
                && joined_at(&room.changes, now) == pos;
            unread.sent(part, is_join);
            continue;
        }
        let verdict = verdict(pass, room, &event, rules).await?;
        unread.add(part, pos, verdict);
    }
    Ok((unread.read == *read || unread.read(read.clone())).then_some(unread))
}

async fn verdict(
    pass: &mut Pass<'_>,
    room: &UserRoom,
    event: &RoomEvent,
    rules: Option<&Ruleset>,
) -> Result<Verdict, StorageError> {
    let (rooms, user_id) = (&pass.engine.rooms, &pass.request.user_id);
    let place = (&room.info, event);
    rooms.verdict(&mut pass.view, place, user_id, rules).await
}

/// From PostgreSQL: the running counts, the exceptions that pusher has written, and what it has not
/// come to yet.
async fn load(
    pass: &mut Pass<'_>,
    room: &UserRoom,
    (read, now): (BTreeMap<String, Position>, Position),
    rules: Option<&Ruleset>,
) -> Result<Unread, StorageError> {
    let info = &room.info;
    let mut unread = Unread::new(pass.moment.generation, now, read);
    let threads = unread.read.iter().filter(|(thread, _)| !thread.is_empty());
    let threads = threads.map(|(thread, pos)| {
        let part = if thread == "main" { MAIN } else { thread };
        (part.to_owned(), *pos)
    });
    let mut reading = Reading {
        shard: info.shard,
        room: info.nid,
        user: pass.request.user_nid,
        range: Range {
            after: unread.read.get("").copied().unwrap_or(0).max(0),
            up_to: now,
        },
        threads: threads.collect(),
    };
    let snapshot = pass.view.snapshot().await?;
    let heads = match &pass.heads {
        Some(heads) => heads,
        None => pass.heads.insert(snapshot.heads().await?),
    };
    let judged = Shard::push_of(info.shard).map_or(0, |shard| heads.get(shard));
    for part in unread::default_counts(snapshot, &reading).await? {
        let name = part.thread.unwrap_or_default();
        let counted = Part {
            counts: part.counts,
            after: part.read_up_to,
            last: now,
        };
        reading.threads.retain(|(thread, _)| *thread != name);
        reading.threads.push((name.clone(), part.read_up_to));
        unread.parts.insert(name, counted);
    }
    reading.range.up_to = judged.min(now);
    for part in unread::exceptions(snapshot, &reading).await? {
        let counted = unread.parts.entry(part.thread.unwrap_or_default());
        let counted = counted.or_insert(Part {
            counts: Counts::default(),
            after: reading.range.after,
            last: now,
        });
        counted.counts = counted.counts + part.counts;
    }
    let range = Range {
        after: judged.max(reading.range.after),
        up_to: now,
    };
    for event in unjudged(pass, room, range).await? {
        let part = event.thread.as_deref().unwrap_or(MAIN);
        let pos = event.pos.unwrap_or(now);
        let read = unread
            .parts
            .get(part)
            .map_or(reading.range.after, |part| part.after);
        if pos <= read || event.sender == pass.request.user_id.as_str() {
            continue;
        }
        let verdict = verdict(pass, room, &event, rules).await?;
        if verdict == event.verdict {
            continue;
        }
        let counted = unread.parts.entry(part.to_owned()).or_insert(Part {
            counts: Counts::default(),
            after: read,
            last: now,
        });
        counted.counts = counted.counts + difference(verdict, event.verdict);
    }
    unread.parts.retain(|_, part| !part.counts.is_zero());
    Ok(unread)
}

fn difference(verdict: Verdict, default: Verdict) -> Counts {
    let counts = |verdict| {
        let mut counts = Counts::default();
        counts.add(verdict);
        counts
    };
    counts(verdict) - counts(default)
}

/// The events of a range that pusher has not come to.
async fn unjudged(
    pass: &mut Pass<'_>,
    room: &UserRoom,
    range: Range,
) -> Result<Vec<Arc<RoomEvent>>, StorageError> {
    let info = &room.info;
    if range.up_to <= range.after {
        return Ok(Vec::new());
    }
    let tail = &pass.engine.tail;
    if let Some(entries) = tail.of_room(info.shard, info.nid, range, usize::MAX) {
        let events = entries.into_iter().filter_map(|(_, entry)| match entry {
            Entry::Event { event, .. } => Some(event),
            _ => None,
        });
        return Ok(events.collect());
    }
    let snapshot = pass.view.snapshot().await?;
    let rooms = [info.nid];
    let records = stored::latest(snapshot, info.shard, &rooms, range, MOST_JUDGED).await?;
    let events = records
        .into_iter()
        .map(|record| Arc::new(RoomEvent::from_record(record, info.version)));
    Ok(events.collect())
}

#[cfg(test)]
mod tests;
