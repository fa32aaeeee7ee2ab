//! One page in the making.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use ganglion_model::{RoomNid, Shard, Vector, Verdict};
use ganglion_storage::memberships::{MembershipRecord, RoomOfUser};
use ganglion_storage::notifications::{self, Asked, Candidate};
use ganglion_storage::{StorageError, timeline::Range};

use super::walk::Walk;
use super::{List, ListRequest};
use crate::ignored::Ignored;
use crate::room::RoomInfo;
use crate::view::View;

/// Candidates of one page: those that turn out not to notify cost, too.
const MOST_LOOKED_AT: usize = 1_000;
/// Reads of one page, beyond the first of each room.
const MOST_READS: usize = 10;
/// About how many candidates are read first, of all rooms together.
const FIRST: usize = 2_000;

/// Whether there may be more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum More {
    Yes,
    /// For the next page: this one has cost enough.
    NotNow,
    No,
}

/// An event that may be on the page.
pub(super) struct Found {
    /// Its room's place in the user's list.
    pub(super) room: usize,
    pub(super) candidate: Candidate,
    /// What it counts for; `None` if nobody has judged it yet.
    pub(super) verdict: Option<Verdict>,
    /// The place right before it.
    pub(super) before: Vector,
}

pub(super) struct Pass<'a> {
    pub(super) request: ListRequest<'a>,
    pub(super) ignored: Arc<Ignored>,
    rooms: Vec<RoomOfUser>,
    pub(super) walk: Walk,
    /// Up to where pusher has judged each room shard.
    judged: Vector,
    /// How many are joined to rooms.
    pub(super) members: HashMap<RoomNid, u64>,
    pub(super) list: List,
    looked_at: usize,
    reads: usize,
}

impl<'a> Pass<'a> {
    pub(super) fn new(
        request: ListRequest<'a>,
        (rooms, walk, judged): (Vec<RoomOfUser>, Walk, Vector),
        ignored: Arc<Ignored>,
    ) -> Self {
        Self {
            request,
            ignored,
            rooms,
            walk,
            judged,
            members: HashMap::new(),
            list: List::default(),
            looked_at: 0,
            reads: 0,
        }
    }

    /// A room of the user, with the user's membership changes in it.
    pub(super) fn room(
        &self,
        index: usize,
    ) -> Result<(RoomInfo, Vec<MembershipRecord>), StorageError> {
        let room = self.rooms.get(index);
        let room = room.ok_or_else(|| StorageError::inconsistent("a room of nobody".to_owned()))?;
        let info = RoomInfo::new(room.room_nid, &room.room_id, room.shard, &room.version)?;
        Ok((info, room.changes.clone()))
    }

    pub(super) fn is_wanted(&self, verdict: Verdict) -> bool {
        verdict.notify && (verdict.highlight || !self.request.only_highlights)
    }

    /// The next events that may be on the page: enough to fill it if all are.
    pub(super) async fn chunk(
        &mut self,
        view: &mut View,
    ) -> Result<(Vec<Found>, More), StorageError> {
        let most = self.request.limit + 1 - self.list.notifications.len();
        let mut chunk = Vec::new();
        while chunk.len() < most {
            if self.looked_at >= MOST_LOOKED_AT || !self.read_on(view).await? {
                return Ok((chunk, More::NotNow));
            }
            let before = self.walk.at;
            let Some((stretch, candidate)) = self.walk.next() else {
                return Ok((chunk, More::No));
            };
            self.looked_at += 1;
            let Some(stretch) = self.walk.stretches.get(stretch) else {
                continue;
            };
            let verdict = self.verdict(stretch.shard, &candidate);
            let own = candidate.sender == self.request.viewer.user_nid;
            if own || verdict.is_some_and(|verdict| !self.is_wanted(verdict)) {
                continue;
            }
            chunk.push(Found {
                room: stretch.room,
                candidate,
                verdict,
                before,
            });
        }
        Ok((chunk, More::Yes))
    }

    /// What pusher has found.
    fn verdict(&self, shard: Shard, candidate: &Candidate) -> Option<Verdict> {
        let counts = |default: bool, difference: i64| i64::from(default) + difference > 0;
        let (default, difference) = (candidate.default, candidate.difference);
        (candidate.pos <= self.judged.get(shard)).then(|| Verdict {
            notify: counts(default.notify, difference.notify),
            highlight: counts(default.highlight, difference.highlight),
        })
    }

    /// Reads what must be known to tell which event is next; false if the page has read enough.
    async fn read_on(&mut self, view: &mut View) -> Result<bool, StorageError> {
        let wanted = self.walk.wanted();
        if wanted.is_empty() {
            return Ok(true);
        }
        if self.reads > MOST_READS {
            return Ok(false);
        }
        let page = self.request.limit + 1;
        let limit = match self.reads {
            0 => (FIRST / wanted.len()).clamp(2, page),
            _ => page,
        };
        self.reads += 1;
        let mut by_shard: BTreeMap<Shard, Vec<usize>> = BTreeMap::new();
        for index in wanted {
            if let Some(stretch) = self.walk.stretches.get(index) {
                by_shard.entry(stretch.shard).or_default().push(index);
            }
        }
        let snapshot = view.snapshot().await?;
        for (shard, indices) in by_shard {
            let stretches = indices
                .iter()
                .filter_map(|index| self.walk.stretches.get(*index));
            let ranges: Vec<(RoomNid, Range)> = stretches
                .map(|stretch| (stretch.room_nid, stretch.rest))
                .collect();
            let asked = Asked {
                user: self.request.viewer.user_nid,
                judged: self.judged.get(shard),
                only_highlights: self.request.only_highlights,
                limit: i64::try_from(limit).unwrap_or(i64::MAX),
            };
            let mut found: HashMap<usize, Vec<Candidate>> = HashMap::new();
            for candidate in notifications::candidates(snapshot, shard, &ranges, asked).await? {
                found.entry(candidate.stretch).or_default().push(candidate);
            }
            for (place, index) in indices.into_iter().enumerate() {
                let found = found.remove(&place).unwrap_or_default();
                self.walk.read(index, found, limit);
            }
        }
        Ok(true)
    }
}
