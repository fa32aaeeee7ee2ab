//! Redactions (room versions, "Handling redactions").

use ganglion_event_rules::redact;
use ganglion_model::{EventNid, MatrixError};
use ganglion_proto::persister::Redact;
use ganglion_storage::StorageError;
use ganglion_storage::batch::RedactionRow;
use ganglion_storage::rooms::{self, StoredEvent};
use ruma::EventId;

use super::load::stored_event;
use super::local::{Intent, parse_content, parse_user};
use super::membership::{key, member_key, power_of};
use super::part::{Part, Step};
use super::room::Room;
use super::{Done, RoomShard, done};

impl RoomShard {
    pub(super) async fn redact(
        &self,
        room: &mut Room,
        command: &Redact,
        part: &mut Part,
    ) -> Step<Done> {
        let sender = parse_user(&command.sender)?;
        let target_id = EventId::parse(&command.event_id)
            .map_err(|_invalid| MatrixError::invalid_param("not an event id"))?;
        let content = parse_content(&command.content)?;
        let target = self.find_event(room, target_id.as_str()).await?;
        let keys = [
            key("m.room.create"),
            key("m.room.power_levels"),
            member_key(&sender),
        ];
        self.ensure_state(room, &keys).await?;
        let target_event = stored_event(room, &target)?;
        let levels = power_of(room)?;
        if !redact::user_may_redact(&sender, &target_event.sender, &levels) {
            return Err(MatrixError::forbidden("you may not redact this event").into());
        }
        let intent = Intent {
            sender,
            event_type: "m.room.redaction".to_owned(),
            state_key: None,
            content,
            redacts: Some(target_id.clone()),
            redacts_nid: Some(target.event_nid),
            txn: command.device_id.clone().zip(command.txn_id.clone()),
        };
        self.append(room, part, intent).await?;
        let redaction = room.extremities.first().map(|e| e.nid);
        if let Some(redaction) = redaction {
            apply_redaction(room, part, &target, redaction)?;
        }
        Ok(done(room, part))
    }

    /// An event of this room by its id, committed.
    async fn find_event(&self, room: &Room, event_id: &str) -> Step<StoredEvent> {
        let primary = self.shared.db.primary().await?;
        let found = rooms::events_by_id(&primary, self.shard, &[event_id.to_owned()]).await?;
        let found = found.into_iter().find(|stored| stored.room_nid == room.nid);
        Ok(found.ok_or_else(|| MatrixError::not_found("no such event in this room"))?)
    }
}

/// Takes out of a stored event what a redaction removes. Redacted before, it stays as it is.
pub(super) fn apply_redaction(
    room: &mut Room,
    part: &mut Part,
    target: &StoredEvent,
    redaction: EventNid,
) -> Step<()> {
    if target.redacted_by.is_some() {
        return Ok(());
    }
    let left = redact::redact(
        &target.event_type,
        &target.content,
        &target.envelope,
        room.version,
    )
    .map_err(|error| StorageError::inconsistent(error.to_string()))?;
    let rewritten = StoredEvent {
        content: left.content.clone(),
        envelope: left.envelope.clone(),
        ..target.clone()
    };
    let rewritten = stored_event(room, &rewritten)?;
    room.replace_event(target.event_nid, &rewritten);
    room.related.redacted.insert(target.event_nid);
    part.rows.redactions.push(RedactionRow {
        event_nid: target.event_nid,
        redacted_by: redaction,
        content: left.content,
        envelope: left.envelope,
    });
    Ok(())
}
