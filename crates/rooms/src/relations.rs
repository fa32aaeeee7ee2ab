//! What is told of an event's children with it (client-server API, "Aggregations of child events").

use std::collections::HashMap;
use std::sync::Arc;

use ganglion_model::{EventNid, Position};
use ganglion_storage::StorageError;
use ganglion_storage::memberships::MembershipRecord;
use ganglion_storage::relations::{self, Aggregate, Beholder};

use crate::client_event::{Extras, Viewer};
use crate::event::RoomEvent;
use crate::room::{RoomInfo, Rooms};
use crate::view::View;
use crate::visibility::sight;

/// `m.relations` of one event.
#[derive(Debug, Clone, Default)]
pub(crate) struct Bundle {
    /// The ids of events that refer to it.
    pub(crate) references: Vec<String>,
    /// Its newest edit.
    pub(crate) replace: Option<Arc<RoomEvent>>,
    /// The thread of which it is the root.
    pub(crate) thread: Option<Thread>,
}

impl Bundle {
    /// The events that are shown.
    fn events(&self) -> impl Iterator<Item = &RoomEvent> {
        let latest = self.thread.iter().map(|thread| &*thread.latest);
        self.replace.iter().map(Arc::as_ref).chain(latest)
    }
}

/// A thread in short.
#[derive(Debug, Clone)]
pub(crate) struct Thread {
    pub(crate) latest: Arc<RoomEvent>,
    pub(crate) count: i64,
    pub(crate) participated: bool,
}

/// Which children count, and for whom.
#[derive(Debug, Clone, Copy)]
pub struct Onlooker<'a> {
    /// Who looks.
    pub viewer: Viewer<'a>,
    /// The user's membership changes in the room.
    pub changes: &'a [MembershipRecord],
    /// Children behind it are told of later.
    pub up_to: Position,
}

impl Rooms {
    /// As [`Rooms::extras`], with what is told of the events' children: one read for all, and one
    /// more for the newest replies of threads, if there are any.
    ///
    /// # Errors
    /// As [`View::snapshot`].
    pub async fn extras_with_relations(
        &self,
        view: &mut View,
        room: &RoomInfo,
        events: &[Arc<RoomEvent>],
        onlooker: Onlooker<'_>,
    ) -> Result<Extras, StorageError> {
        let changes = onlooker.changes;
        let mut extras = self.extras(view, room, events, changes).await?;
        let bundles = self.bundles(view, room, events, onlooker).await?;
        let latest: Vec<Arc<RoomEvent>> = bundles
            .values()
            .filter_map(|bundle| Some(bundle.thread.as_ref()?.latest.clone()))
            .filter(|latest| !bundles.contains_key(&latest.nid))
            .collect();
        // A reply is no root of another thread: it ends here.
        let of_latest = self.bundles(view, room, &latest, onlooker).await?;
        extras.relations = bundles;
        extras.relations.extend(of_latest);
        let told = extras.relations.values().flat_map(Bundle::events);
        let erased = self.erased_senders(view, room, changes, told).await?;
        extras.erased.extend(erased);
        Ok(extras)
    }

    async fn bundles(
        &self,
        view: &mut View,
        room: &RoomInfo,
        events: &[Arc<RoomEvent>],
        onlooker: Onlooker<'_>,
    ) -> Result<HashMap<EventNid, Bundle>, StorageError> {
        let messages = events.iter().filter(|event| event.state_key.is_none());
        let parents: Vec<EventNid> = messages.map(|event| event.nid).collect();
        if parents.is_empty() {
            return Ok(HashMap::new());
        }
        let place = (room.shard, room.nid);
        let sight = sight(onlooker.changes);
        let ignored = self.ignored(view, onlooker.viewer).await?;
        let beholder = Beholder {
            user_nid: onlooker.viewer.user_nid,
            sight: &sight,
            ignored: ignored.users(),
            up_to: onlooker.up_to,
        };
        let snapshot = view.snapshot().await?;
        let found = relations::aggregates(snapshot, place, &parents, &beholder).await?;
        let shown = found.iter().filter_map(|(_, aggregate)| match aggregate {
            Aggregate::Reference(_) => None,
            Aggregate::Replace(nid) | Aggregate::Thread { latest: nid, .. } => Some(*nid),
        });
        let shown = self.events(view, room, shown).await?;
        let mut bundles: HashMap<EventNid, Bundle> = HashMap::new();
        for (parent, aggregate) in found {
            let bundle = bundles.entry(parent).or_default();
            match aggregate {
                Aggregate::Reference(child) => bundle.references.push(child),
                Aggregate::Replace(nid) => bundle.replace = shown.get(&nid).cloned(),
                Aggregate::Thread {
                    latest,
                    count,
                    participated,
                } => {
                    bundle.thread = shown.get(&latest).map(|latest| Thread {
                        latest: latest.clone(),
                        count,
                        participated,
                    });
                }
            }
        }
        Ok(bundles)
    }
}
