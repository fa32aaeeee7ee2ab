//! Events as one user sees them.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use ganglion_event_rules::client_format::{self, ClientEvent};
use ganglion_model::{EventNid, Membership, Position, UserNid};
use ganglion_storage::StorageError;
use ganglion_storage::memberships::MembershipRecord;
use ruma::{DeviceId, UserId};

use crate::erased::{may_be_erased, redacted_content};
use crate::event::RoomEvent;
use crate::fields::Fields;
use crate::relations::Bundle;
use crate::room::{RoomInfo, Rooms};
use crate::state::in_slot;
use crate::view::View;
use crate::visibility::{is_visible, membership_at};

/// Who looks, and when.
#[derive(Debug, Clone, Copy)]
pub struct Viewer<'a> {
    /// The user's number.
    pub user_nid: UserNid,
    /// The user.
    pub user_id: &'a UserId,
    /// The device that asks.
    pub device_id: Option<&'a DeviceId>,
    /// Milliseconds since the epoch.
    pub now_ms: i64,
    /// What the user's own log holds up to here must count.
    pub own_log: Position,
}

/// Other events that some events are shown with.
#[derive(Debug, Clone, Default)]
pub struct Extras {
    /// By state event: what it replaced.
    replaced: HashMap<EventNid, Arc<RoomEvent>>,
    /// By redaction: the redaction.
    redactions: HashMap<EventNid, Arc<RoomEvent>>,
    /// What is told of its children.
    pub(crate) relations: HashMap<EventNid, Bundle>,
    /// Senders who had been erased when the user came: what they said before is shown redacted.
    pub(crate) erased: HashSet<String>,
    /// The whole events, where they are to be written so: without `unsigned`.
    pub(crate) raw: HashMap<EventNid, Vec<u8>>,
}

impl Rooms {
    /// Reads what some events of a room are shown with to a user with these membership changes: what
    /// state events replaced, redactions, and who of the senders was erased.
    ///
    /// # Errors
    /// As [`View::snapshot`].
    pub async fn extras(
        &self,
        view: &mut View,
        room: &RoomInfo,
        events: &[Arc<RoomEvent>],
        changes: &[MembershipRecord],
    ) -> Result<Extras, StorageError> {
        let mut extras = Extras {
            redactions: self.redactions_of(view, room, events).await?,
            ..Extras::default()
        };
        let mut replaced: HashMap<EventNid, EventNid> = HashMap::new();
        for event in events {
            let Some(slot) = event.slot else { continue };
            let before = self.chain(view, room, event.snapshot_before).await?;
            // A state event may be its own predecessor where state resolution put it there before.
            if let Some(old) = in_slot(&before, slot)?.filter(|old| *old != event.nid) {
                replaced.insert(event.nid, old);
            }
        }
        let old = self.events(view, room, replaced.values().copied()).await?;
        for (event, nid) in replaced {
            if let Some(old) = old.get(&nid) {
                extras.replaced.insert(event, old.clone());
            }
        }
        let shown = events.iter().chain(extras.redactions.values());
        let shown = shown.chain(extras.replaced.values()).map(Arc::as_ref);
        extras.erased = self.erased_senders(view, room, changes, shown).await?;
        Ok(extras)
    }

    /// As [`Rooms::extras`], without what state events replaced: for lists of state, where it would
    /// cost a look-up each.
    ///
    /// # Errors
    /// As [`View::snapshot`].
    pub async fn state_extras(
        &self,
        view: &mut View,
        room: &RoomInfo,
        events: &[Arc<RoomEvent>],
    ) -> Result<Extras, StorageError> {
        let redactions = self.redactions_of(view, room, events).await?;
        Ok(Extras {
            redactions,
            ..Extras::default()
        })
    }

    async fn redactions_of(
        &self,
        view: &mut View,
        room: &RoomInfo,
        events: &[Arc<RoomEvent>],
    ) -> Result<HashMap<EventNid, Arc<RoomEvent>>, StorageError> {
        let nids: Vec<EventNid> = events
            .iter()
            .filter_map(|event| event.redacted_by)
            .collect();
        if nids.is_empty() {
            return Ok(HashMap::new());
        }
        self.events(view, room, nids).await
    }
}

/// Writes events of one room for one user.
#[derive(Clone, Copy)]
pub struct Writer<'a> {
    /// Who looks.
    pub viewer: Viewer<'a>,
    /// The room.
    pub room: &'a RoomInfo,
    /// The user's membership changes in the room.
    pub changes: &'a [MembershipRecord],
    /// What the events are shown with.
    pub extras: &'a Extras,
    /// True to name the room in each event; `/sync` does not.
    pub with_room_id: bool,
    /// What the user's filter wants of an event; `None` for all.
    pub fields: Option<&'a Fields>,
}

impl Writer<'_> {
    /// Appends an event.
    pub fn write(&self, out: &mut Vec<u8>, event: &RoomEvent) {
        match self.fields {
            None => self.write_whole(out, event),
            Some(fields) => {
                let mut whole = Vec::with_capacity(512);
                self.write_whole(&mut whole, event);
                out.extend(fields.project(&whole));
            }
        }
    }

    /// Appends a JSON list of events.
    pub fn write_list<'e>(
        &self,
        out: &mut Vec<u8>,
        events: impl IntoIterator<Item = &'e RoomEvent>,
    ) {
        out.push(b'[');
        for (index, event) in events.into_iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            self.write(out, event);
        }
        out.push(b']');
    }

    fn write_whole(&self, out: &mut Vec<u8>, event: &RoomEvent) {
        let unsigned = self.unsigned(event);
        self.write_with(out, event, &unsigned);
    }

    fn write_with(&self, out: &mut Vec<u8>, event: &RoomEvent, unsigned: &[u8]) {
        if let Some((_, open)) = self
            .extras
            .raw
            .get(&event.nid)
            .and_then(|raw| raw.split_last())
        {
            out.extend_from_slice(open);
            out.extend_from_slice(b",\"unsigned\":");
            out.extend_from_slice(unsigned);
            out.push(b'}');
            return;
        }
        let content = self.content(event);
        let client = ClientEvent {
            event_id: &event.event_id,
            room_id: self.with_room_id.then_some(&*self.room.id),
            sender: &event.sender,
            event_type: &event.event_type,
            state_key: event.state_key.as_deref(),
            origin_server_ts: event.origin_server_ts,
            content: &content,
            redacts: event.redacts.as_deref(),
            unsigned: Some(unsigned),
        };
        client_format::write_event(out, &client, self.room.version);
    }

    /// The content, or what is left of it for who came after its sender was erased.
    fn content<'e>(&self, event: &'e RoomEvent) -> Cow<'e, [u8]> {
        let erased = self.extras.erased.contains(&event.sender);
        if erased && may_be_erased(event, self.changes) {
            return Cow::Owned(redacted_content(event, self.room.version));
        }
        Cow::Borrowed(&event.content)
    }

    /// Keys in canonical order, as everywhere.
    fn unsigned(&self, event: &RoomEvent) -> Vec<u8> {
        let mut out = Vec::with_capacity(64);
        let age = self.viewer.now_ms.saturating_sub(event.origin_server_ts);
        out.extend_from_slice(format!("{{\"age\":{age}").as_bytes());
        if let Some(bundle) = self.extras.relations.get(&event.nid) {
            self.write_relations(&mut out, bundle);
        }
        if let Some(pos) = event.pos {
            let membership = membership_at(self.changes, pos).unwrap_or(Membership::Leave);
            out.extend_from_slice(b",\"membership\":\"");
            out.extend_from_slice(membership.as_str().as_bytes());
            out.push(b'"');
        }
        let replaced = self.extras.replaced.get(&event.nid);
        if let Some(old) =
            replaced.filter(|old| is_visible(old, self.viewer.user_nid, self.changes))
        {
            out.extend_from_slice(b",\"prev_content\":");
            out.extend_from_slice(&self.content(old));
        }
        let redaction = event
            .redacted_by
            .and_then(|nid| self.extras.redactions.get(&nid));
        if let Some(redaction) = redaction {
            out.extend_from_slice(b",\"redacted_because\":");
            let age = self
                .viewer
                .now_ms
                .saturating_sub(redaction.origin_server_ts);
            self.write_with(&mut out, redaction, format!("{{\"age\":{age}}}").as_bytes());
        }
        if let Some(old) = replaced {
            write_member(&mut out, ",\"replaces_state\":", &old.event_id);
        }
        if let Some((_, id)) = event.transaction.as_ref().filter(|(device, _)| {
            event.sender == self.viewer.user_id.as_str()
                && self
                    .viewer
                    .device_id
                    .is_some_and(|own| own.as_str() == device)
        }) {
            write_member(&mut out, ",\"transaction_id\":", id);
        }
        out.push(b'}');
        out
    }
}

impl Writer<'_> {
    /// An edit or a newest reply is written whole, with what is told of its own children: neither can
    /// have an edit or a thread in turn but the reply an edit, so this ends.
    fn write_relations(&self, out: &mut Vec<u8>, bundle: &Bundle) {
        let mut members: Vec<Vec<u8>> = Vec::new();
        if !bundle.references.is_empty() {
            let ids = bundle.references.iter();
            let chunk: Vec<serde_json::Value> =
                ids.map(|id| serde_json::json!({"event_id": id})).collect();
            let chunk = serde_json::Value::from(chunk);
            members.push(format!("\"m.reference\":{{\"chunk\":{chunk}}}").into_bytes());
        }
        if let Some(edit) = &bundle.replace {
            let mut member = b"\"m.replace\":".to_vec();
            self.write_whole(&mut member, edit);
            members.push(member);
        }
        if let Some(thread) = &bundle.thread {
            let (count, participated) = (thread.count, thread.participated);
            let mut member = format!(
                "\"m.thread\":{{\"count\":{count},\"current_user_participated\":{participated},\
                 \"latest_event\":"
            )
            .into_bytes();
            self.write_whole(&mut member, &thread.latest);
            member.push(b'}');
            members.push(member);
        }
        if !members.is_empty() {
            out.extend_from_slice(b",\"m.relations\":{");
            out.extend(members.join(&b','));
            out.push(b'}');
        }
    }
}

/// Appends `prefix` (a comma, a key and a colon) and a JSON string.
fn write_member(out: &mut Vec<u8>, prefix: &str, text: &str) {
    out.extend_from_slice(prefix.as_bytes());
    out.extend_from_slice(serde_json::Value::from(text).to_string().as_bytes());
}

/// Appends the stripped form of a state event.
pub fn write_stripped(out: &mut Vec<u8>, event: &RoomEvent) {
    let client = ClientEvent {
        event_id: &event.event_id,
        room_id: None,
        sender: &event.sender,
        event_type: &event.event_type,
        state_key: event.state_key.as_deref(),
        origin_server_ts: event.origin_server_ts,
        content: &event.content,
        redacts: None,
        unsigned: None,
    };
    client_format::write_stripped(out, &client);
}

#[cfg(test)]
mod tests;
