//! What a client may not send because of the event it relates to (client-server API, "Validation of
//! `m.thread` relationships", "Avoiding duplicate annotations"). Events from elsewhere are taken as they
//! are: readers leave out what breaks the rules.

use std::collections::HashSet;

use ganglion_event_rules::content::is_storable_key;
use ganglion_model::{EventNid, MatrixError, Membership};
use ganglion_storage::{relations, rooms};
use ruma::{CanonicalJsonObject, CanonicalJsonValue};

use super::RoomShard;
use super::local::Intent;
use super::membership::{member_key, membership};
use super::part::Step;
use super::room::Room;

/// Roots of threads that are remembered per room.
const MOST_ROOTS: usize = 64;

/// What tells annotations apart: sender, type, parent, key.
pub(super) type Annotation = (String, String, String, String);

/// What a room's events relate to, as far as it is remembered.
#[derive(Debug, Clone, Default)]
pub(super) struct Related {
    /// Events from which a thread may start: that never ends.
    roots: HashSet<String>,
    /// Annotations of the batch being prepared.
    pub(super) annotations: HashSet<Annotation>,
    /// Events redacted in the batch being prepared.
    pub(super) redacted: HashSet<EventNid>,
}

impl Related {
    /// The batch is committed: the database knows it now.
    pub(super) fn committed(&mut self) {
        self.annotations.clear();
        self.redacted.clear();
    }
}

impl RoomShard {
    /// Whether an event may relate to what it relates to; an annotation is to be remembered once it
    /// is placed.
    pub(super) async fn check_relation(
        &self,
        room: &mut Room,
        intent: &Intent,
    ) -> Step<Option<Annotation>> {
        let Some((kind, parent, key)) = relation(&intent.content) else {
            return Ok(None);
        };
        // What cannot be an event's id relates to nothing, and must not come near the database.
        if !matches!(kind, "m.thread" | "m.annotation") || !is_storable_key(parent) {
            return Ok(None);
        }
        self.ensure_state(room, &[member_key(&intent.sender)])
            .await?;
        if membership(room, &intent.sender) != Some(Membership::Join) {
            // Refused soon, and not to be told of what is in the room.
            return Ok(None);
        }
        if kind == "m.thread" {
            self.check_root(room, parent).await?;
            return Ok(None);
        }
        let Some(key) = key else {
            return Ok(None);
        };
        let [sender, parent, key] = [intent.sender.as_str(), parent, key].map(str::to_owned);
        let annotation = (sender, intent.event_type.clone(), parent, key);
        self.check_annotation(room, &annotation).await?;
        Ok(Some(annotation))
    }

    async fn check_root(&self, room: &mut Room, root: &str) -> Step<()> {
        if room.related.roots.contains(root) {
            return Ok(());
        }
        let primary = self.shared.db.primary().await?;
        let found = rooms::events_by_id(&primary, self.shard, &[root.to_owned()]).await?;
        let Some(event) = found.into_iter().find(|event| event.room_nid == room.nid) else {
            return Ok(());
        };
        let content: Option<CanonicalJsonObject> = serde_json::from_slice(&event.content).ok();
        if content.as_ref().and_then(relation).is_some() {
            let message = "a thread cannot start from an event that relates to another";
            return Err(MatrixError::new(400, "M_UNKNOWN", message).into());
        }
        let roots = &mut room.related.roots;
        if roots.len() >= MOST_ROOTS {
            roots.clear();
        }
        roots.insert(root.to_owned());
        Ok(())
    }

    async fn check_annotation(&self, room: &Room, annotation: &Annotation) -> Step<()> {
        let duplicate = || {
            MatrixError::new(
                400,
                "M_DUPLICATE_ANNOTATION",
                "you have sent this annotation already",
            )
        };
        if room.related.annotations.contains(annotation) {
            return Err(duplicate().into());
        }
        let (sender, event_type, parent, key) = annotation;
        let sender = self.shared.words.user(sender).await?;
        let event_type = self.shared.words.event_type(event_type).await?;
        let place = (self.shard, room.nid);
        let primary = self.shared.db.primary().await?;
        let known = relations::annotations(&primary, place, parent, (sender, event_type)).await?;
        let same = known.iter().any(|(nid, content)| {
            let content: Option<CanonicalJsonObject> = serde_json::from_slice(content).ok();
            let relation = content.as_ref().and_then(relation);
            relation.and_then(|(.., key)| key) == Some(key.as_str())
                && !room.related.redacted.contains(nid)
        });
        if same {
            Err(duplicate().into())
        } else {
            Ok(())
        }
    }
}

/// Kind, parent and key of what an event relates to.
fn relation(content: &CanonicalJsonObject) -> Option<(&str, &str, Option<&str>)> {
    let Some(CanonicalJsonValue::Object(relates)) = content.get("m.relates_to") else {
        return None;
    };
    let text = |key: &str| relates.get(key).and_then(CanonicalJsonValue::as_str);
    Some((text("rel_type")?, text("event_id")?, text("key")))
}
