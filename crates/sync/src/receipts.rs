//! Read receipts in `/sync` (client-server API, "Receipts"), and those of one user.
//!
//! A receipt is the newest of its key: one that was superseded after the response's moment is left
//! out, and the newer one comes with the next response.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use ganglion_model::{Position, RoomNid, Shard, UserNid};
use ganglion_proto::log;
use ganglion_rooms::{View, filter};
use ganglion_storage::StorageError;
use ganglion_storage::receipts::{self as stored, Receipt, ReceiptKey, ReceiptKind};
use ganglion_storage::timeline::Range;
use ruma::api::client::filter::RoomEventFilter;
use serde_json::{Value, json};

use crate::answer::Pass;
use crate::followed::Kept;
use crate::moment::Moment;
use crate::plan::Plan;
use crate::users::RoomList;

/// Receipts of others that one response tells of a room at most: the newest.
const MOST_OF_OTHERS: usize = 500;

/// Receipts for threads that are remembered, and told of, of one user in a room: those that came last.
const MOST_OF_THREADS: usize = 1_000;

/// Receipts that count as one user more among those that are remembered.
const RECEIPTS_PER_WEIGHT: usize = 100;

const RECEIPT: &str = "m.receipt";

/// All receipts of one user, public and private: the newest of each room, kind and thread. Of a room's
/// threads only the receipts that came last, at most [`MOST_OF_THREADS`].
#[derive(Debug, Clone, Default)]
pub struct OwnReceipts(BTreeMap<RoomNid, Arc<OfRoom>>);

#[derive(Debug, Clone, Default)]
struct OfRoom {
    receipts: HashMap<ReceiptKey, Arc<Receipt>>,
    /// Those of threads, in the order in which they came.
    threads: BTreeMap<Position, ReceiptKey>,
}

impl OfRoom {
    fn apply(&mut self, receipt: Arc<Receipt>) {
        let key = &receipt.key;
        if let Some(known) = self.receipts.get(key) {
            if known.pos >= receipt.pos {
                return;
            }
            self.threads.remove(&known.pos);
        }
        if is_of_thread(key) {
            self.threads.insert(receipt.pos, key.clone());
        }
        self.receipts.insert(key.clone(), receipt);
        if self.threads.len() > MOST_OF_THREADS
            && let Some((_, oldest)) = self.threads.pop_first()
        {
            self.receipts.remove(&oldest);
        }
    }
}

/// Whether a receipt is of one thread, and not of the main timeline or the whole room.
fn is_of_thread(key: &ReceiptKey) -> bool {
    !matches!(key.thread.as_str(), "" | "main")
}

impl OwnReceipts {
    /// Those of one room, in no order. A receipt's `event_pos` is the place up to which it reads; its
    /// key tells the thread.
    pub fn of_room(&self, room: RoomNid) -> impl Iterator<Item = &Arc<Receipt>> {
        let of_room = self.0.get(&room).into_iter();
        of_room.flat_map(|of_room| of_room.receipts.values())
    }

    /// Up to where the user has read a room, whichever of `m.read` and `m.read.private` is ahead, by
    /// thread; the thread `""` is what unthreaded receipts say.
    #[must_use]
    pub fn read_up_to(&self, room: RoomNid) -> BTreeMap<&str, Position> {
        let mut places = BTreeMap::new();
        for receipt in self.of_room(room) {
            let place = places
                .entry(receipt.key.thread.as_str())
                .or_insert(receipt.event_pos);
            *place = receipt.event_pos.max(*place);
        }
        places
    }
}

impl Kept for OwnReceipts {
    type Change = Arc<Receipt>;

    async fn load(view: &mut View, user: UserNid) -> Result<Self, StorageError> {
        let mut all = Self::default();
        let most = i64::try_from(MOST_OF_THREADS).unwrap_or(i64::MAX);
        for receipt in stored::of_user(view.snapshot().await?, user, most).await? {
            all.apply(Arc::new(receipt));
        }
        Ok(all)
    }

    fn apply(&mut self, receipt: Arc<Receipt>) -> bool {
        let of_room = self.0.entry(receipt.key.room_nid).or_default();
        Arc::make_mut(of_room).apply(receipt);
        true
    }

    fn weight(&self) -> usize {
        let counts = self.0.values().map(|of_room| of_room.receipts.len());
        1 + counts.sum::<usize>() / RECEIPTS_PER_WEIGHT
    }
}

/// A receipt of a log; `None` if it is of a kind that a later version writes.
pub(crate) fn from_log(entry: log::Receipt, pos: Position) -> Option<Receipt> {
    Some(Receipt {
        key: ReceiptKey {
            room_nid: RoomNid(entry.room_nid),
            user_nid: UserNid(entry.user_nid),
            kind: ReceiptKind::from_number(entry.kind)?,
            thread: entry.thread_id.unwrap_or_default(),
        },
        user_id: entry.user_id,
        event_id: entry.event_id,
        event_pos: entry.event_pos,
        ts: entry.ts,
        pos,
    })
}

impl Pass<'_> {
    /// The user's own receipts, at or behind the moment: from memory if this process follows the logs
    /// up to there, else as the view shows them.
    ///
    /// # Errors
    /// If they are not in memory and cannot be read.
    pub(crate) async fn own_receipts(&mut self) -> Result<Arc<OwnReceipts>, StorageError> {
        let engine = self.engine;
        let (shard, user) = self.user_place();
        if !self.is_followed {
            return Ok(Arc::new(OwnReceipts::load(&mut self.view, user).await?));
        }
        let generation = self.moment.generation;
        let now = || Moment::of_tail(&engine.tail, generation, shard);
        let fresh = || View::new(&engine.db, None);
        let own = engine.tail.own_receipts();
        own.get(&mut self.view, (shard, user), now, fresh).await
    }
}

/// What a response tells, by room.
#[derive(Debug, Default)]
pub(crate) struct Receipts(HashMap<RoomNid, Vec<Arc<Receipt>>>);

impl Receipts {
    /// Takes those of a room.
    pub(crate) fn take(&mut self, room: RoomNid) -> Vec<Arc<Receipt>> {
        self.0.remove(&room).unwrap_or_default()
    }

    /// Whether there is one of a room.
    pub(crate) fn has(&self, room: RoomNid) -> bool {
        self.0.contains_key(&room)
    }

    /// Adds what the user may see and wants; of each room the newest come first.
    fn add(&mut self, found: Vec<Arc<Receipt>>, user: UserNid, wanted: &RoomEventFilter) {
        let mut known = HashSet::new();
        let mut of_others: HashMap<RoomNid, usize> = HashMap::new();
        let mut own_threads: HashMap<RoomNid, usize> = HashMap::new();
        for receipt in found {
            let key = &receipt.key;
            let own = key.user_nid == user;
            if !(own || key.kind == ReceiptKind::Read)
                || !filter::accepts_words(wanted, RECEIPT, &receipt.user_id)
                || !known.insert(key.clone())
            {
                continue;
            }
            let count = of_others.entry(key.room_nid).or_default();
            if !own && *count >= MOST_OF_OTHERS {
                continue;
            }
            *count += usize::from(!own);
            let threads = own_threads.entry(key.room_nid).or_default();
            *threads += usize::from(own && is_of_thread(key));
            if *threads > MOST_OF_THREADS && own && is_of_thread(key) {
                continue;
            }
            self.0.entry(key.room_nid).or_default().push(receipt);
        }
    }
}

/// The receipts between the token and the moment, in rooms that are new to the client all up to the
/// moment, as far as the filter lets them pass.
pub(crate) async fn news(
    pass: &mut Pass<'_>,
    list: &RoomList,
    plans: &BTreeMap<RoomNid, Plan>,
) -> Result<Receipts, StorageError> {
    let mut receipts = Receipts::default();
    let wanted = &pass.request.filter.room.ephemeral;
    if !filter::accepts_type(wanted, RECEIPT) {
        return Ok(receipts);
    }
    let mut asked: BTreeMap<(Shard, Position), Vec<RoomNid>> = BTreeMap::new();
    for (nid, plan) in plans {
        let Some(room) = list.get(nid) else { continue };
        let shard = room.info.shard;
        let after = match plan {
            Plan::Joined => pass.since(shard),
            Plan::NewlyJoined => Position::MIN,
            _ => continue,
        };
        if filter::accepts_room_in(wanted, &room.info.id) {
            asked.entry((shard, after)).or_default().push(*nid);
        }
    }
    let mut own = None;
    for ((shard, after), rooms) in asked {
        let up_to = pass.moment.rooms.get(shard);
        if up_to <= after {
            continue;
        }
        let range = Range { after, up_to };
        let found = match pass.engine.tail.receipts(shard, &rooms, range) {
            Some(found) => found,
            None => {
                let own = match &own {
                    Some(own) => own,
                    None => own.insert(pass.own_receipts().await?),
                };
                read(pass, own, (shard, &rooms), range).await?
            }
        };
        receipts.add(found, pass.request.user_nid, wanted);
    }
    Ok(receipts)
}

/// From PostgreSQL, but for the user's own.
async fn read(
    pass: &mut Pass<'_>,
    own: &OwnReceipts,
    (shard, rooms): (Shard, &[RoomNid]),
    range: Range,
) -> Result<Vec<Arc<Receipt>>, StorageError> {
    let own = rooms.iter().flat_map(|room| own.of_room(*room)).cloned();
    let mut found: Vec<Arc<Receipt>> = own
        .filter(|receipt| receipt.pos > range.after && receipt.pos <= range.up_to)
        .collect();
    let user = pass.request.user_nid;
    let most = i64::try_from(MOST_OF_OTHERS).unwrap_or(i64::MAX);
    let snapshot = pass.view.snapshot().await?;
    let others = stored::of_others(snapshot, (shard, rooms), user, range, most).await?;
    found.extend(others.into_iter().map(Arc::new));
    Ok(found)
}

type Content<'a> = BTreeMap<&'a str, BTreeMap<&'a str, BTreeMap<&'a str, Value>>>;

/// The receipts as `m.receipt` events, at most `most`: one per thread, those with the newest receipts,
/// so that two receipts of one user for the same event in different threads both arrive.
pub(crate) fn events(receipts: &[Arc<Receipt>], most: usize) -> Vec<Value> {
    let mut threads: BTreeMap<&str, (Position, Content<'_>)> = BTreeMap::new();
    for receipt in receipts {
        let (newest, content) = threads.entry(receipt.key.thread.as_str()).or_default();
        *newest = receipt.pos.max(*newest);
        let mut said = json!({ "ts": receipt.ts });
        if !receipt.key.thread.is_empty() {
            said["thread_id"] = Value::from(receipt.key.thread.as_str());
        }
        let by_kind = content.entry(&receipt.event_id).or_default();
        let by_user = by_kind.entry(receipt.key.kind.name()).or_default();
        by_user.insert(&receipt.user_id, said);
    }
    let mut threads: Vec<(Position, Content<'_>)> = threads.into_values().collect();
    threads.sort_by_key(|(newest, _)| std::cmp::Reverse(*newest));
    let events = threads.iter().take(most);
    events
        .map(|(_, content)| json!({ "content": content, "type": RECEIPT }))
        .collect()
}

#[cfg(test)]
mod tests;
