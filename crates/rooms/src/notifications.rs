//! The events that have notified a user (client-server API, "Listing notifications").
//!
//! Nothing is kept for the list: what an event says to everybody is in its row, and where one user's
//! rules differ is in the exceptions of unread counts.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use ganglion_model::{EventNid, Position, Shard, Vector, Verdict};
use ganglion_push_rules::verdict;
use ganglion_storage::memberships::{self, MembershipRecord};
use ganglion_storage::{StorageError, timeline};
use ruma::push::{Action, HighlightTweakValue, Ruleset, Tweak};

use crate::client_event::Viewer;
use crate::event::RoomEvent;
use crate::room::{RoomInfo, Rooms};
use crate::view::View;
use crate::visibility::is_visible;
use pass::{Found, More, Pass};
use walk::Walk;

mod pass;
mod read;
mod walk;

/// Which page.
#[derive(Debug, Clone, Copy)]
pub struct ListRequest<'a> {
    /// For whom.
    pub viewer: Viewer<'a>,
    /// The user's own push rules; `None`: the default ones.
    pub rules: Option<&'a Ruleset>,
    /// All events at or below these positions; `None`: from the newest on.
    pub from: Option<Vector>,
    /// The most notifications.
    pub limit: usize,
    /// Only highlights.
    pub only_highlights: bool,
}

/// An event that has notified the user.
#[derive(Debug, Clone)]
pub struct Notification {
    /// Its room's place in [`List::rooms`].
    pub room: usize,
    /// The event.
    pub event: Arc<RoomEvent>,
    /// What the user's rules do. Where they would say something else today: what was counted.
    pub actions: Vec<Action>,
    /// Whether the user has read it, as unread counts have it: by a receipt, by an own event behind
    /// it in its thread, or before a later join.
    pub read: bool,
}

/// A page.
#[derive(Debug, Default)]
pub struct List {
    /// The user's rooms that the page has events of, with the user's membership changes in them.
    pub rooms: HashMap<usize, (RoomInfo, Vec<MembershipRecord>)>,
    /// The newest first.
    pub notifications: Vec<Notification>,
    /// Where the next page begins; `None` if there is none.
    pub next: Option<Vector>,
}

impl Rooms {
    /// A page of the events that notified the user, in the rooms that the user is joined or invited
    /// to. It may be short although there is more: what one page looks at is bounded.
    ///
    /// # Errors
    /// As [`View::snapshot`].
    pub async fn notifications(
        &self,
        view: &mut View,
        request: ListRequest<'_>,
    ) -> Result<List, StorageError> {
        let snapshot = view.snapshot().await?;
        let heads = snapshot.heads().await?;
        let rooms = memberships::of_user(snapshot, request.viewer.user_nid).await?;
        let (mut from, mut judged) = (Vector::ZERO, Vector::ZERO);
        for shard in Shard::rooms() {
            let asked = request.from.map_or(Position::MAX, |from| from.get(shard));
            from.set(shard, asked.min(heads.get(shard)));
            let push = Shard::push_of(shard);
            judged.set(shard, push.map_or(0, |push| heads.get(push)));
        }
        let walk = Walk::new(&rooms, from);
        let ignored = self.ignored(view, request.viewer).await?;
        let mut pass = Pass::new(request, (rooms, walk, judged), ignored);
        loop {
            let (found, more) = pass.chunk(view).await?;
            if self.take(view, &mut pass, found).await? || more == More::No {
                break;
            }
            if more == More::NotNow {
                pass.list.next = Some(pass.walk.at);
                break;
            }
        }
        read::mark(view, &mut pass).await?;
        Ok(pass.list)
    }

    /// Takes those of some events that notify; true if the page is full and there is one more.
    async fn take(
        &self,
        view: &mut View,
        pass: &mut Pass<'_>,
        found: Vec<Found>,
    ) -> Result<bool, StorageError> {
        let events = self.events_of(view, pass, &found).await?;
        let user = pass.request.viewer;
        for found in found {
            let Some(event) = events.get(&found.candidate.event_nid) else {
                continue;
            };
            let (room, changes) = pass.room(found.room)?;
            if pass.ignored.has(&event.sender) || !is_visible(event, user.user_nid, &changes) {
                continue;
            }
            let rules = pass.request.rules;
            let verdict = match found.verdict {
                Some(verdict) => verdict,
                None => {
                    let place = (&room, &**event);
                    self.verdict(view, place, user.user_id, rules).await?
                }
            };
            if !pass.is_wanted(verdict) {
                continue;
            }
            if pass.list.notifications.len() >= pass.request.limit {
                pass.list.next = Some(found.before);
                return Ok(true);
            }
            let members = match pass.members.get(&room.nid) {
                Some(members) => *members,
                None => self.joined_members(view, &room).await?,
            };
            pass.members.insert(room.nid, members);
            let place = (&room, &**event);
            let does = self.actions(view, place, user.user_id, (rules, members));
            let does = does.await?;
            pass.list.rooms.insert(found.room, (room, changes));
            pass.list.notifications.push(Notification {
                room: found.room,
                event: event.clone(),
                actions: as_counted(does, verdict),
                read: false,
            });
        }
        Ok(false)
    }

    /// The events that were found, by number: one read per shard.
    async fn events_of(
        &self,
        view: &mut View,
        pass: &Pass<'_>,
        found: &[Found],
    ) -> Result<HashMap<EventNid, Arc<RoomEvent>>, StorageError> {
        let nids = found.iter().map(|found| found.candidate.event_nid);
        let (mut events, missing) = self.known_events(nids);
        let mut by_shard: BTreeMap<Shard, Vec<EventNid>> = BTreeMap::new();
        let mut versions = HashMap::new();
        let missing: HashSet<EventNid> = missing.into_iter().collect();
        for found in found {
            if missing.contains(&found.candidate.event_nid) {
                let (room, _) = pass.room(found.room)?;
                let nids = by_shard.entry(room.shard).or_default();
                nids.push(found.candidate.event_nid);
                versions.insert(room.nid, room.version);
            }
        }
        for (shard, nids) in by_shard {
            let seen = self.redactions();
            for record in timeline::by_nids(view.snapshot().await?, shard, &nids).await? {
                let Some(version) = versions.get(&record.room_nid) else {
                    continue;
                };
                let event = Arc::new(RoomEvent::from_record(record, *version));
                self.remember(&event, seen);
                events.insert(event.nid, event);
            }
        }
        Ok(events)
    }
}

/// What rules do, unless they were others when the event was counted: then only that it was.
fn as_counted(does: Vec<Action>, counted: Verdict) -> Vec<Action> {
    if verdict(&does) == counted {
        return does;
    }
    let highlight = Action::SetTweak(Tweak::Highlight(HighlightTweakValue::Yes));
    let highlight = counted.highlight.then_some(highlight);
    [Action::Notify].into_iter().chain(highlight).collect()
}
