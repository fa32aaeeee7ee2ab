//! Whom to ask about an event, and what they say.
//!
//! Under the default rules an event says the same to everybody whom it does not name, and the running
//! counts hold that. So only those are asked whom it names (mentioned, or invited by it) and those who
//! have rules of their own.

use std::collections::{BTreeSet, HashMap};

use ganglion_model::{Counts, Membership, RoomNid, Shard, UserNid, Verdict};
use ganglion_proto::log;
use ganglion_rooms::{RoomEvent, RoomInfo, Rooms, View};
use ganglion_storage::batch::ExceptionRow;
use ganglion_storage::{StorageError, unread};
use ruma::{OwnedServerName, OwnedUserId, UserId};

use crate::rules::Rules;

/// Rooms whose users with own rules one shard remembers.
const MOST_ROOMS: usize = 5_000;

/// Judges the events of one room shard.
pub(crate) struct Judge {
    rooms: Rooms,
    rules: Rules,
    shard: Shard,
    server_name: OwnedServerName,
    /// The joined users of rooms who have rules of their own.
    with_rules: HashMap<RoomNid, BTreeSet<UserNid>>,
    /// As [`Rules::newcomers`] was when they were read.
    newcomers: u64,
}

impl Judge {
    pub(crate) fn new(
        (rooms, rules): (Rooms, Rules),
        shard: Shard,
        server_name: OwnedServerName,
    ) -> Self {
        let newcomers = rules.newcomers();
        Self {
            rooms,
            rules,
            shard,
            server_name,
            with_rules: HashMap::new(),
            newcomers,
        }
    }

    /// Where users' rules say something else about an event than the default ones.
    ///
    /// # Errors
    /// If something that matters cannot be read.
    pub(crate) async fn exceptions(
        &mut self,
        view: &mut View,
        entry: log::Event,
        pos: i64,
    ) -> Result<Vec<ExceptionRow>, StorageError> {
        let room = RoomInfo::new(
            RoomNid(entry.room_nid),
            &entry.room_id,
            self.shard,
            &entry.room_version,
        )?;
        let event = RoomEvent::from_log(entry, pos);
        self.note_membership(&room, &event);
        let named = self.named(view, &room, &event).await?;
        let nids = self.joined_with_rules(view, &room).await?;
        let mut asked: Vec<UserNid> = nids.into_iter().collect();
        asked.extend(named.iter().map(|(nid, _)| *nid));
        asked.sort_unstable();
        asked.dedup();
        let listeners = self
            .rules
            .of(view.snapshot().await?, &asked, self.newcomers)
            .await?;
        if let Some(known) = self.with_rules.get_mut(&room.nid) {
            // Who has joined without any; a first rule makes the lists be read again.
            known.retain(|nid| listeners.iter().any(|listener| listener.nid == *nid));
        }
        let mut rows = Vec::new();
        let mut judged = BTreeSet::new();
        for listener in &listeners {
            judged.insert(listener.nid);
            let user = (listener.nid, &*listener.user_id);
            let rules = Some(&listener.rules);
            let verdict = self
                .rooms
                .verdict(view, (&room, &event), user.1, rules)
                .await?;
            rows.extend(self.row(&room, &event, (user, verdict)));
        }
        for (nid, user_id) in named.iter().filter(|(nid, _)| !judged.contains(nid)) {
            let verdict = self
                .rooms
                .verdict(view, (&room, &event), user_id, None)
                .await?;
            rows.extend(self.row(&room, &event, ((*nid, user_id), verdict)));
        }
        Ok(rows)
    }

    fn row(
        &self,
        room: &RoomInfo,
        event: &RoomEvent,
        ((user_nid, user_id), verdict): ((UserNid, &UserId), Verdict),
    ) -> Option<ExceptionRow> {
        if verdict == event.verdict || event.sender == user_id.as_str() {
            return None;
        }
        let counts = |verdict| {
            let mut counts = Counts::default();
            counts.add(verdict);
            counts
        };
        Some(ExceptionRow {
            shard: self.shard,
            user_nid,
            room_nid: room.nid,
            pos: event.pos?,
            thread: event.thread.clone(),
            difference: counts(verdict) - counts(event.verdict),
        })
    }

    /// The users whom an event names, who are joined or invited by it.
    async fn named(
        &self,
        view: &mut View,
        room: &RoomInfo,
        event: &RoomEvent,
    ) -> Result<Vec<(UserNid, OwnedUserId)>, StorageError> {
        let mut named = Vec::new();
        if let (Some(target), Some(key), Some(Membership::Invite)) =
            (event.target, &event.state_key, event.membership)
        {
            let user = UserId::parse(key).ok();
            let ours = user.filter(|user| user.server_name() == self.server_name);
            named.extend(ours.map(|user| (target, user)));
        }
        let mentioned = event
            .facts(room)
            .map(|facts| facts.mentioned())
            .unwrap_or_default();
        let mentioned: BTreeSet<String> = mentioned
            .into_iter()
            .filter(|id| UserId::parse(id).is_ok_and(|user| user.server_name() == self.server_name))
            .collect();
        if mentioned.is_empty() {
            return Ok(named);
        }
        let chain = self.rooms.chain(view, room, event.snapshot_before).await?;
        let keys = mentioned
            .into_iter()
            .map(|id| ("m.room.member".to_owned(), id));
        let members = self.rooms.state_at_keys(view, room, &chain, keys).await?;
        for ((_, id), member) in members {
            let joined = member.membership == Some(Membership::Join);
            if let (true, Some(nid), Ok(user)) = (joined, member.target, UserId::parse(&id)) {
                named.push((nid, user));
            }
        }
        Ok(named)
    }

    async fn joined_with_rules(
        &mut self,
        view: &mut View,
        room: &RoomInfo,
    ) -> Result<BTreeSet<UserNid>, StorageError> {
        if let Some(known) = self.with_rules.get(&room.nid) {
            return Ok(known.clone());
        }
        let snapshot = view.snapshot().await?;
        let found = unread::joined_with_own_rules(snapshot, self.shard, room.nid).await?;
        let found: BTreeSet<UserNid> = found.into_iter().collect();
        if self.with_rules.len() >= MOST_ROOMS {
            self.with_rules.clear();
        }
        self.with_rules.insert(room.nid, found.clone());
        Ok(found)
    }

    /// A snapshot is about to be opened, with which events are judged from now on.
    pub(crate) fn begin(&mut self) {
        let newcomers = self.rules.newcomers();
        if newcomers != self.newcomers {
            self.newcomers = newcomers;
            self.with_rules.clear();
        }
    }

    /// Who joins is asked from now on (whether there are rules is found when asking), who leaves no
    /// more.
    fn note_membership(&mut self, room: &RoomInfo, event: &RoomEvent) {
        let (Some(target), Some(membership)) = (event.target, event.membership) else {
            return;
        };
        let Some(known) = self.with_rules.get_mut(&room.nid) else {
            return;
        };
        if membership == Membership::Join {
            known.insert(target);
        } else {
            known.remove(&target);
        }
    }

    /// What is remembered may be wrong.
    pub(crate) fn forget(&mut self) {
        self.with_rules.clear();
    }
}
