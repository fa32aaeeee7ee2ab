//! Events made elsewhere (server-server API, "Checks performed on receipt of a PDU").

use std::collections::BTreeSet;
use std::sync::Arc;

use ganglion_event_rules::{Pdu, auth, content, stored};
use ganglion_model::{EventNid, MatrixError, SlotNid};
use ganglion_proto::persister::SubmitPdus;
use ganglion_state_deltas::Chain;
use ganglion_storage::batch::EventStatus;
use ganglion_storage::rooms;
use ruma::OwnedEventId;

use super::fork::State;
use super::load::stored_event;
use super::local::{check_against_current, refused_format};
use super::membership::key;
use super::part::{Part, Step};
use super::place::{Arrival, Placed, current_visibility, row};
use super::redact::apply_redaction;
use super::room::{Recent, Room};
use super::{Done, OutcomeDone, RoomShard};

/// Events in one command; a federation transaction holds at most 50.
const MAX_PDUS: usize = 100;

/// An event that the room knows, as the resolution of forks needs it.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) nid: EventNid,
    pub(super) event: Arc<Pdu>,
    pub(super) slot: Option<SlotNid>,
    pub(super) state_before: Chain,
}

impl RoomShard {
    pub(super) async fn submit_pdus(
        &self,
        room: &mut Room,
        submit: &SubmitPdus,
        part: &mut Part,
    ) -> Step<Done> {
        if submit.pdus.len() > MAX_PDUS {
            return Err(MatrixError::too_large("too many events at once").into());
        }
        // On a copy: a later event that is refused takes the earlier ones with it.
        let mut after = room.clone();
        let mut last = String::new();
        for pdu in &submit.pdus {
            last = self.accept(&mut after, part, pdu).await?.to_string();
        }
        *room = after;
        Ok(Done::Written(OutcomeDone {
            event_id: last,
            value: String::new(),
            position: part.next - 1,
        }))
    }

    async fn accept(&self, room: &mut Room, part: &mut Part, pdu: &[u8]) -> Step<OwnedEventId> {
        let object = content::parse_object(pdu).map_err(MatrixError::from)?;
        let event = Pdu::from_canonical(&object, room.version).map_err(refused_format)?;
        let envelope = stored::split(&object, &event, room.version)
            .map_err(refused_format)?
            .envelope;
        let id = event.event_id.clone();
        if event.room_id != room.id {
            return Err(MatrixError::bad_json("the event is of another room").into());
        }
        if !self
            .known(room, std::slice::from_ref(&id))
            .await?
            .is_empty()
        {
            return Ok(id);
        }
        let prev = self.known(room, &event.prev_events).await?;
        let auth_events = self.known(room, &event.auth_events).await?;
        let distinct: BTreeSet<_> = event.prev_events.iter().collect();
        if prev.len() != distinct.len() || prev.is_empty() {
            return Err(MatrixError::new(400, "M_UNKNOWN", "a previous event is missing").into());
        }
        let arrival = Arrival {
            nid: EventNid(self.shared.next_id().await?),
            event: Arc::new(event),
            txn: None,
            envelope,
            redacts: None,
        };
        self.ensure_state(room, &[key("m.room.create")]).await?;
        if let Err(reason) = check_by_auth_events(room, &arrival.event, &auth_events) {
            tracing::info!(event.id = %id, reason, "an event is rejected by its auth events");
            self.store_aside(
                room,
                part,
                arrival,
                &room.chain.clone(),
                EventStatus::Rejected,
            )
            .await?;
            return Ok(id);
        }
        let extremities: BTreeSet<_> = room.extremities.iter().map(|e| &e.event_id).collect();
        if distinct_ids(&arrival.event.prev_events) == extremities {
            self.accept_linear(room, part, arrival).await?;
        } else {
            self.accept_fork(room, part, arrival, &prev).await?;
        }
        Ok(id)
    }

    /// The event follows all that the room has: its state before is the current state.
    async fn accept_linear(
        &self,
        room: &mut Room,
        part: &mut Part,
        mut arrival: Arrival,
    ) -> Step<()> {
        let event = arrival.event.clone();
        self.ensure_for_check(room, &event).await?;
        let before = room.chain.clone();
        if let Err(error) = check_against_current(room, &event) {
            tracing::info!(event.id = %event.event_id, reason = error.message, "an event is rejected");
            return self
                .store_aside(room, part, arrival, &before, EventStatus::Rejected)
                .await;
        }
        let target = self.redaction_target(room, &event).await?;
        arrival.redacts = target.as_ref().map(|target| target.event_nid);
        let nid = arrival.nid;
        self.place(room, part, arrival).await?;
        if let Some(target) = target {
            apply_redaction(room, part, &target, nid)?;
        }
        Ok(())
    }

    /// The event comes from a place that is not the room's end: state before and current state are
    /// resolved over the forks.
    async fn accept_fork(
        &self,
        room: &mut Room,
        part: &mut Part,
        arrival: Arrival,
        prev: &[Known],
    ) -> Step<()> {
        let event = arrival.event.clone();
        let before = self.state_over(room, prev).await?;
        let before_chain = self.store_resolved(room, part, &before).await?.chain;
        if let Err(reason) = self.check_in(room, &event, &before).await? {
            tracing::info!(event.id = %event.event_id, reason, "an event is rejected");
            return self
                .store_aside(room, part, arrival, &before_chain, EventStatus::Rejected)
                .await;
        }
        self.ensure_for_check(room, &event).await?;
        if let Err(error) = check_against_current(room, &event) {
            tracing::info!(event.id = %event.event_id, reason = error.message, "an event is soft-failed");
            return self
                .store_aside(room, part, arrival, &before_chain, EventStatus::SoftFailed)
                .await;
        }
        self.place_fork(room, part, arrival, before_chain, before)
            .await
    }

    /// The authorisation rules against a state that is not the current one.
    async fn check_in(&self, room: &Room, event: &Pdu, state: &State) -> Step<Result<(), String>> {
        let mut keys = auth::auth_keys(
            &event.event_type,
            &event.sender,
            event.state_key.as_deref(),
            &event.content,
            room.version,
        )
        .map_err(|error| MatrixError::bad_json(error.to_string()))?;
        keys.push(key("m.room.create"));
        let events = self.events_in(room, state, &keys).await?;
        Ok(
            auth::check_dependent(event, room.version, |event_type, state_key| {
                events
                    .get(&(event_type.to_owned(), state_key.to_owned()))
                    .cloned()
            })
            .map_err(|error| error.to_string()),
        )
    }

    async fn ensure_for_check(&self, room: &mut Room, event: &Pdu) -> Step<()> {
        let mut keys = auth::auth_keys(
            &event.event_type,
            &event.sender,
            event.state_key.as_deref(),
            &event.content,
            room.version,
        )
        .map_err(|error| MatrixError::bad_json(error.to_string()))?;
        keys.push(key("m.room.create"));
        keys.push(key("m.room.power_levels"));
        keys.push(key("m.room.history_visibility"));
        if let Some(state_key) = &event.state_key {
            keys.push((event.event_type.clone(), state_key.clone()));
        }
        Ok(self.ensure_state(room, &keys).await?)
    }

    /// Stores an event that clients do not see: it has no position and changes no state.
    async fn store_aside(
        &self,
        room: &mut Room,
        part: &mut Part,
        arrival: Arrival,
        before: &Chain,
        status: EventStatus,
    ) -> Step<()> {
        let numbers = self.numbers(&arrival.event).await?;
        let snapshot = before.head().unwrap_or(super::place::EMPTY_SNAPSHOT);
        let placed = Placed {
            nid: arrival.nid,
            pos: None,
            status,
            visibility: current_visibility(room),
            snapshot_before: snapshot,
            snapshot_after: snapshot,
            extremities: None,
            txn: None,
            previous: None,
            tally: Default::default(),
            verdict: Default::default(),
        };
        part.rows.events.push(row(
            room,
            &arrival.event,
            &numbers,
            placed,
            arrival.envelope,
        ));
        let event = match status {
            EventStatus::Rejected => Arc::new(Pdu::clone(&arrival.event).into_rejected()),
            _ => arrival.event,
        };
        remember(room, arrival.nid, event, numbers.slot, before.clone());
        Ok(())
    }

    /// Those of these events that the room knows, committed or in this batch.
    pub(super) async fn known(&self, room: &Room, ids: &[OwnedEventId]) -> Step<Vec<Known>> {
        let mut known = Vec::new();
        let mut missing = Vec::new();
        for id in distinct_ids(ids) {
            match room.recent.get(id) {
                Some(recent) => known.push(Known {
                    nid: recent.nid,
                    event: recent.event.clone(),
                    slot: recent.slot,
                    state_before: recent.state_before.clone(),
                }),
                None => missing.push(id.to_string()),
            }
        }
        if missing.is_empty() {
            return Ok(known);
        }
        let primary = self.shared.db.primary().await?;
        for stored in rooms::events_by_id(&primary, self.shard, &missing).await? {
            if stored.room_nid != room.nid {
                continue;
            }
            let state_before = match stored.snapshot_before {
                super::place::EMPTY_SNAPSHOT => Chain::empty(),
                nid => Chain::unloaded(nid),
            };
            known.push(Known {
                nid: stored.event_nid,
                event: stored_event(room, &stored)?,
                slot: stored.slot_nid,
                state_before,
            });
        }
        Ok(known)
    }

    /// The event that a redaction removes from, if it is known and the redaction may do so.
    pub(super) async fn redaction_target(
        &self,
        room: &Room,
        event: &Pdu,
    ) -> Step<Option<rooms::StoredEvent>> {
        let Some(target) = event.redacts() else {
            return Ok(None);
        };
        let primary = self.shared.db.primary().await?;
        let found = rooms::events_by_id(&primary, self.shard, &[target.to_string()]).await?;
        let Some(target) = found.into_iter().find(|stored| stored.room_nid == room.nid) else {
            return Ok(None);
        };
        let sender = &stored_event(room, &target)?.sender;
        let power = super::membership::power_of(room)?;
        let may = ganglion_event_rules::redact::may_redact(&event.sender, sender, &power);
        Ok(may.then_some(target))
    }
}

/// Remembers an event of this batch for those that follow it.
pub(super) fn remember(
    room: &mut Room,
    nid: EventNid,
    event: Arc<Pdu>,
    slot: Option<SlotNid>,
    state_before: Chain,
) {
    let id = event.event_id.clone();
    room.recent.insert(
        id,
        Recent {
            nid,
            event,
            slot,
            state_before,
        },
    );
}

fn distinct_ids(ids: &[OwnedEventId]) -> BTreeSet<&OwnedEventId> {
    ids.iter().collect()
}

/// Checks 4 and those that need no state: the auth events are known, not rejected, and allow it.
/// Since room version 12 the create event, which must be loaded, is implied by the room id.
fn check_by_auth_events(room: &Room, event: &Pdu, auth_events: &[Known]) -> Result<(), String> {
    let create = room
        .state("m.room.create", "")
        .map(|held| held.event.clone());
    let implied = create
        .iter()
        .filter(|_| room.version.room_id_is_create_hash());
    let find = |id: &ruma::EventId| {
        let named = auth_events.iter().map(|known| &known.event);
        let mut known = named.chain(implied.clone());
        known.find(|known| known.event_id == id).cloned()
    };
    auth::check_independent(event, room.version, find).map_err(|error| error.to_string())?;
    auth::check_dependent(event, room.version, |event_type, state_key| {
        let named = auth_events
            .iter()
            .find(|known| known.event.is_state(event_type, state_key));
        match named {
            Some(known) => Some(known.event.clone()),
            None if event_type == "m.room.create" => implied.clone().next().cloned(),
            None => None,
        }
    })
    .map_err(|error| error.to_string())
}
