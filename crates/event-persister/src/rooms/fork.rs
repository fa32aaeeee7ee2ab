//! States over several events: state resolution, and what it changes in the room.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use ganglion_event_rules::{Pdu, Resolver, StateMap};
use ganglion_model::{EventNid, MatrixError, SlotNid, UserNid};
use ganglion_proto::log;
use ganglion_state_deltas::{Chain, DeltaEntry, Summary};
use ganglion_storage::batch::{EventStatus, MembershipRow, RoomChangeRow};
use ganglion_storage::log::kind;
use ganglion_storage::{StorageError, intern, rooms};
use ruma::OwnedEventId;

use super::RoomShard;
use super::load::stored_event;
use super::part::{Part, Step};
use super::pdus::{Known, remember};
use super::place::{Arrival, Placed, StoredState, current_visibility, entry, row};
use super::redact::apply_redaction;
use super::room::{Extremity, Room};
use crate::words::StateKey;

/// A whole room state.
pub(super) type State = BTreeMap<SlotNid, EventNid>;

/// Rounds in which a resolution may ask for further events: as deep as auth chains get.
const MAX_ROUNDS: usize = 1_000;

impl RoomShard {
    /// The state after all of these events together.
    pub(super) async fn state_over(&self, room: &Room, events: &[Known]) -> Step<State> {
        let mut states = Vec::new();
        for known in events {
            let state = self.state_after(known).await?;
            if !states.contains(&state) {
                states.push(state);
            }
        }
        match states.len() {
            1 => Ok(states.remove(0)),
            _ => self.resolve(room, states).await,
        }
    }

    /// The state after one event: that before it, and itself if it is an accepted state event.
    async fn state_after(&self, known: &Known) -> Step<State> {
        let mut state = self.whole(&mut known.state_before.clone()).await?;
        if let Some(slot) = known.slot
            && !known.event.rejected
        {
            state.insert(slot, known.nid);
        }
        Ok(state)
    }

    /// All of a state, loading the links that are not in memory.
    async fn whole(&self, chain: &mut Chain) -> Step<State> {
        while let Some(missing) = chain.missing() {
            self.load_link(chain, missing).await?;
        }
        chain
            .to_map()
            .map_err(|needs| StorageError::inconsistent(needs.to_string()).into())
    }

    /// State resolution over states that differ (room versions, "State resolution").
    async fn resolve(&self, room: &Room, states: Vec<State>) -> Step<State> {
        let words = self.resolution_words(room, &states).await?;
        let maps = states
            .iter()
            .map(|state| words.to_map(state))
            .collect::<Result<_, _>>()?;
        let mut resolver = Resolver::new(room.version, maps);
        for _round in 0..MAX_ROUNDS {
            let needs = resolver.needs();
            if needs.is_empty() {
                break;
            }
            let known = self.known(room, &needs).await?;
            let found: BTreeSet<_> = known.iter().map(|k| k.event.event_id.clone()).collect();
            resolver.supply(known.into_iter().map(|known| known.event));
            resolver.absent(needs.into_iter().filter(|id| !found.contains(id)));
        }
        let resolved = tokio::task::spawn_blocking(move || resolver.run());
        let resolved = resolved
            .await
            .map_err(|error| StorageError::inconsistent(format!("state resolution: {error}")))?
            .map_err(|error| MatrixError::bad_json(error.to_string()))?;
        Ok(words.to_state(&resolved)?)
    }

    /// The strings of everything that these states hold.
    async fn resolution_words(&self, room: &Room, states: &[State]) -> Step<Names> {
        let slots: BTreeSet<SlotNid> = states.iter().flat_map(|s| s.keys().copied()).collect();
        let events: BTreeSet<EventNid> = states.iter().flat_map(|s| s.values().copied()).collect();
        let slots: Vec<_> = slots.into_iter().collect();
        let events: Vec<_> = events.into_iter().collect();
        let primary = self.shared.db.primary().await?;
        let keys = intern::slot_keys(&primary, &slots).await?;
        let ids = rooms::event_ids(&primary, self.shard, &events).await?;
        let mut names = Names::default();
        for (slot, key) in keys {
            names.keys.insert(slot, key.clone());
            names.slots.insert(key, slot);
        }
        let stored = ids
            .into_iter()
            .filter_map(|(nid, id)| Some((nid, id.try_into().ok()?)));
        let recent = room
            .recent
            .values()
            .map(|r| (r.nid, r.event.event_id.clone()));
        for (nid, id) in stored.chain(recent) {
            let id: OwnedEventId = id;
            names.nids.insert(id.clone(), nid);
            names.ids.insert(nid, id);
        }
        Ok(names)
    }

    /// The events that a state has in some slots.
    pub(super) async fn events_in(
        &self,
        room: &Room,
        state: &State,
        keys: &[StateKey],
    ) -> Step<HashMap<StateKey, Arc<Pdu>>> {
        let slots = self.shared.words.find_slots(keys.iter().cloned()).await?;
        let wanted: Vec<EventNid> = slots
            .values()
            .filter_map(|slot| state.get(slot).copied())
            .collect();
        let recent: Vec<_> = room
            .recent
            .values()
            .filter(|r| wanted.contains(&r.nid))
            .collect();
        let mut events: Vec<Arc<Pdu>> = recent.iter().map(|r| r.event.clone()).collect();
        let missing: Vec<EventNid> = wanted
            .iter()
            .copied()
            .filter(|nid| !recent.iter().any(|r| r.nid == *nid))
            .collect();
        let primary = self.shared.db.primary().await?;
        for stored in rooms::events_by_nid(&primary, self.shard, &missing).await? {
            events.push(stored_event(room, &stored)?);
        }
        let keyed = events.into_iter().map(|event| {
            (
                (
                    event.event_type.clone(),
                    event.state_key.clone().unwrap_or_default(),
                ),
                event,
            )
        });
        Ok(keyed.collect())
    }

    /// Stores a state, as its difference from the room's current one, unless an equal one is stored.
    pub(super) async fn store_resolved(
        &self,
        room: &mut Room,
        part: &mut Part,
        state: &State,
    ) -> Step<StoredState> {
        let current = self.whole(&mut room.chain).await?;
        let changes = differences(&current, state);
        if changes.is_empty() {
            return Ok(StoredState {
                chain: room.chain.clone(),
                summary: room.summary,
            });
        }
        let summary = Summary::of(state);
        let primary = self.shared.db.primary().await?;
        let same_hash =
            rooms::snapshots_by_hash(&primary, self.shard, room.nid, &summary.hash.0).await?;
        drop(primary);
        for candidate in same_hash {
            let mut stored = self.load_chain(candidate).await?;
            if self.whole(&mut stored.chain).await? == *state {
                return Ok(stored);
            }
        }
        let mut stored = StoredState {
            chain: room.chain.clone(),
            summary,
        };
        self.write_state(room.nid, &mut stored, &changes, part)
            .await?;
        Ok(stored)
    }

    /// Places an accepted event that does not follow the room's end, and resolves the room's state
    /// over its forward extremities.
    pub(super) async fn place_fork(
        &self,
        room: &mut Room,
        part: &mut Part,
        arrival: Arrival,
        before_chain: Chain,
        mut after: State,
    ) -> Step<()> {
        let Arrival {
            nid,
            event,
            envelope,
            ..
        } = arrival;
        let numbers = self.numbers(&event).await?;
        let snapshot_before = before_chain.head().unwrap_or(super::place::EMPTY_SNAPSHOT);
        if let Some(slot) = numbers.slot {
            after.insert(slot, nid);
        }
        room.extremities
            .retain(|e| !event.prev_events.contains(&e.event_id));
        let others: Vec<_> = room
            .extremities
            .iter()
            .map(|e| e.event_id.clone())
            .collect();
        remember(room, nid, event.clone(), numbers.slot, before_chain);
        let state = self.state_with(room, after, &others).await?;
        let old = self.whole(&mut room.chain).await?;
        let visibility = current_visibility(room);
        let stored = self.store_resolved(room, part, &state).await?;
        room.extremities.push(Extremity {
            nid,
            event_id: event.event_id.clone(),
            depth: event.depth,
        });
        (room.chain, room.summary) = (stored.chain.clone(), stored.summary);
        let target = self.redaction_target(room, &event).await?;
        let pos = part.position();
        let change = StateChange {
            pos,
            nid,
            old,
            new: state,
        };
        let previous = self.change_state(room, part, &change, numbers.slot).await?;
        let (tally, verdict) = self.count(room, &event).await?;
        let placed = Placed {
            nid,
            pos: Some(pos),
            status: EventStatus::Live,
            visibility,
            snapshot_before,
            snapshot_after: stored.nid(),
            extremities: Some(room.extremities.iter().map(|e| e.nid).collect()),
            txn: None,
            previous,
            tally,
            verdict,
        };
        let redacts = target.as_ref().map(|target| target.event_nid);
        part.log(
            pos,
            kind::EVENT,
            &entry(room, &event, &numbers, &placed, redacts),
        );
        part.entries.sort_by_key(|entry| entry.pos);
        part.rows
            .events
            .push(row(room, &event, &numbers, placed, envelope));
        if let Some(target) = target {
            apply_redaction(room, part, &target, nid)?;
        }
        Ok(())
    }

    /// The state over all forward extremities: the state after one of them, and the ids of the others.
    async fn state_with(
        &self,
        room: &mut Room,
        after: State,
        others: &[OwnedEventId],
    ) -> Step<State> {
        let mut states = vec![after];
        let known = self.known(room, others).await?;
        if known.len() != others.len() {
            let message = format!("a forward extremity of {} is not there", room.id);
            return Err(StorageError::inconsistent(message).into());
        }
        for known in known {
            let state = self.state_after(&known).await?;
            if !states.contains(&state) {
                states.push(state);
            }
        }
        match states.len() {
            1 => Ok(states.remove(0)),
            _ => Ok(self.resolve(room, states).await?),
        }
    }

    /// Carries a change of the current state into the tables that show it. Changes beyond the
    /// event's own slot are a log entry of their own. Returns the membership that the event's
    /// target had.
    async fn change_state(
        &self,
        room: &mut Room,
        part: &mut Part,
        change: &StateChange,
        own: Option<SlotNid>,
    ) -> Step<Option<ganglion_model::Membership>> {
        let changes = differences(&change.old, &change.new);
        let mut replaced_pos = None;
        let mut own_previous = None;
        for (slot, new) in changes {
            let own_change = Some(slot) == own && new == Some(change.nid);
            let pos = if own_change {
                change.pos
            } else {
                *replaced_pos.get_or_insert_with(|| part.position())
            };
            let old = change.old.get(&slot).copied();
            let touched: Vec<EventNid> = [old, new].into_iter().flatten().collect();
            let events = self.events_numbered(room, &touched).await?;
            let find = |nid: Option<EventNid>| nid.and_then(|nid| events.get(&nid)).cloned();
            let (old_event, new_event) = (find(old), find(new));
            let previous = old_event.as_ref().and_then(|event| event.membership());
            let membership = new_event.as_ref().and_then(|event| event.membership());
            part.set_state(room.nid, slot, new.map(|nid| (nid, membership)));
            let Some(shown) = new_event.as_ref().or(old_event.as_ref()) else {
                continue;
            };
            let key = (
                shown.event_type.clone(),
                shown.state_key.clone().unwrap_or_default(),
            );
            if let Some(user) = member_of(shown) {
                let row = MembershipRow {
                    user_nid: self.user_nid(&user).await?,
                    room_nid: room.nid,
                    pos,
                    membership: membership.unwrap_or(ganglion_model::Membership::Leave),
                    previous,
                    event_nid: new.or(old).unwrap_or(change.nid),
                    sender_nid: self.user_nid(shown.sender.as_str()).await?,
                };
                part.rows.memberships.push(row);
            }
            if own_change {
                own_previous = previous;
            }
            let held = new
                .zip(new_event)
                .map(|(nid, event)| super::room::StateEvent { nid, event });
            room.set_state(key, held);
        }
        if let Some(pos) = replaced_pos {
            let snapshot = room.chain.head().unwrap_or(super::place::EMPTY_SNAPSHOT);
            part.rows.room_changes.push(RoomChangeRow {
                pos,
                room_nid: room.nid,
                kind: 3,
                snapshot_after: snapshot,
                extremities: room.extremities.iter().map(|e| e.nid).collect(),
            });
            let change = log::RoomChange {
                room_nid: room.nid.0,
                room_id: room.id.to_string(),
                snapshot_after: snapshot.0,
            };
            part.log(pos, kind::STATE_REPLACED, &change);
        }
        Ok(own_previous)
    }

    async fn events_numbered(
        &self,
        room: &Room,
        nids: &[EventNid],
    ) -> Step<HashMap<EventNid, Arc<Pdu>>> {
        let mut found: HashMap<EventNid, Arc<Pdu>> = room
            .recent
            .values()
            .filter(|recent| nids.contains(&recent.nid))
            .map(|recent| (recent.nid, recent.event.clone()))
            .collect();
        let missing: Vec<_> = nids
            .iter()
            .copied()
            .filter(|n| !found.contains_key(n))
            .collect();
        let primary = self.shared.db.primary().await?;
        for stored in rooms::events_by_nid(&primary, self.shard, &missing).await? {
            found.insert(stored.event_nid, stored_event(room, &stored)?);
        }
        Ok(found)
    }

    async fn user_nid(&self, user_id: &str) -> Result<UserNid, StorageError> {
        self.shared.words.user(user_id).await
    }
}

/// The current state before and after an event was placed.
struct StateChange {
    pos: i64,
    nid: EventNid,
    old: State,
    new: State,
}

/// The user of a member event.
fn member_of(event: &Pdu) -> Option<String> {
    event.membership()?;
    event.state_key.clone()
}

/// What leads from one state to another.
fn differences(old: &State, new: &State) -> Vec<DeltaEntry> {
    let changed = new
        .iter()
        .filter(|(slot, event)| old.get(slot) != Some(event));
    let mut changes: Vec<DeltaEntry> = changed.map(|(slot, event)| (*slot, Some(*event))).collect();
    changes.extend(
        old.keys()
            .filter(|slot| !new.contains_key(slot))
            .map(|slot| (*slot, None)),
    );
    changes
}

/// The strings of slots and events, both ways.
#[derive(Default)]
struct Names {
    keys: HashMap<SlotNid, StateKey>,
    slots: HashMap<StateKey, SlotNid>,
    ids: HashMap<EventNid, OwnedEventId>,
    nids: HashMap<OwnedEventId, EventNid>,
}

impl Names {
    fn to_map(&self, state: &State) -> Result<StateMap, StorageError> {
        let entries = state.iter().map(|(slot, event)| {
            let key = self.keys.get(slot).ok_or_else(|| missing("slot", slot.0))?;
            let id = self
                .ids
                .get(event)
                .ok_or_else(|| missing("event", event.0))?;
            Ok((key.clone(), id.clone()))
        });
        entries.collect()
    }

    fn to_state(&self, map: &StateMap) -> Result<State, StorageError> {
        let entries = map.iter().map(|(key, id)| {
            let slot = self
                .slots
                .get(key)
                .ok_or_else(|| missing("slot of a state", 0))?;
            let event = self
                .nids
                .get(id)
                .ok_or_else(|| missing("event of a state", 0))?;
            Ok((*slot, *event))
        });
        entries.collect()
    }
}

fn missing(what: &str, nid: i64) -> StorageError {
    StorageError::inconsistent(format!("{what} {nid} of a snapshot is not there"))
}
