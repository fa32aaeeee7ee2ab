//! The old room's part in an upgrade (client-server API, "Room Upgrades").

use ganglion_model::{MatrixError, Membership};
use ganglion_proto::persister::{FinishUpgrade, PrepareUpgrade};
use ganglion_storage::batch::ReplacedRow;
use ganglion_storage::intern;
use ruma::{CanonicalJsonObject, CanonicalJsonValue, Int, OwnedUserId};

use super::alias::CANONICAL_ALIAS;
use super::local::{Intent, parse_content, parse_user};
use super::membership::{key, may_set, member_key, membership};
use super::part::{Part, Step, Stop};
use super::room::Room;
use super::{Done, OutcomeDone, RoomShard, done};

const TOMBSTONE: &str = "m.room.tombstone";
const POWER_LEVELS: &str = "m.room.power_levels";

impl RoomShard {
    /// Nothing is written but the answer, so that whoever repeats the command gets the same one.
    pub(super) async fn prepare_upgrade(
        &self,
        room: &mut Room,
        prepare: &PrepareUpgrade,
        part: &mut Part,
    ) -> Step<Done> {
        let sender = parse_user(&prepare.sender)?;
        if !may_set(self, room, &sender, TOMBSTONE).await? {
            return Err(MatrixError::forbidden("you may not upgrade this room").into());
        }
        let last = room.extremities.last();
        Ok(Done::Written(OutcomeDone {
            event_id: last.map(|e| e.event_id.to_string()).unwrap_or_default(),
            value: part.now_ms.to_string(),
            position: part.next - 1,
        }))
    }

    pub(super) async fn finish_upgrade(
        &self,
        room: &mut Room,
        finish: &FinishUpgrade,
        part: &mut Part,
    ) -> Step<Done> {
        let sender = parse_user(&finish.sender)?;
        let tombstone = parse_content(&finish.tombstone)?;
        let primary = self.shared.db.primary().await?;
        let replacement = intern::find_room(&primary, &finish.replacement_room).await?;
        drop(primary);
        let replacement =
            replacement.ok_or_else(|| MatrixError::not_found("the new room is not there"))?;
        self.ensure_state(room, &[member_key(&sender)]).await?;
        if membership(room, &sender) != Some(Membership::Join) {
            return Err(MatrixError::forbidden("you are not in this room").into());
        }
        let intent = Intent::state(sender.clone(), TOMBSTONE, "", tombstone);
        self.append(room, part, intent).await?;
        self.ensure_state(room, &[key(CANONICAL_ALIAS), key(POWER_LEVELS)])
            .await?;
        let aliases = parsed(room, CANONICAL_ALIAS)?;
        if aliases.is_some_and(|content| !content.is_empty()) {
            let none = CanonicalJsonObject::new();
            self.try_append(room, part, (&sender, CANONICAL_ALIAS, none))
                .await?;
        }
        if let Some(levels) = parsed(room, POWER_LEVELS)?.and_then(quiet) {
            self.try_append(room, part, (&sender, POWER_LEVELS, levels))
                .await?;
        }
        part.rows.replaced.push(ReplacedRow {
            room_nid: room.nid,
            by: replacement.room_nid,
            by_shard: replacement.shard,
        });
        Ok(done(room, part))
    }

    /// Sets a state if the sender may.
    async fn try_append(
        &self,
        room: &mut Room,
        part: &mut Part,
        (sender, event_type, content): (&OwnedUserId, &str, CanonicalJsonObject),
    ) -> Step<()> {
        let intent = Intent::state(sender.clone(), event_type, "", content);
        match self.append(room, part, intent).await {
            Ok(_) | Err(Stop::Refused(_)) => Ok(()),
            Err(other) => Err(other),
        }
    }
}

/// The content of a state event that was loaded.
fn parsed(room: &Room, event_type: &str) -> Result<Option<CanonicalJsonObject>, MatrixError> {
    let held = room.state(event_type, "");
    held.map(|held| parse_content(held.event.content.get().as_bytes()))
        .transpose()
}

/// Power levels with which hardly anybody can send or invite; `None` if they are so already.
fn quiet(mut levels: CanonicalJsonObject) -> Option<CanonicalJsonObject> {
    let of = |levels: &CanonicalJsonObject, key: &str| match levels.get(key) {
        Some(CanonicalJsonValue::Integer(level)) => i64::from(*level),
        // Old room versions allow numbers in strings.
        Some(CanonicalJsonValue::String(level)) => level.trim().parse().unwrap_or(0),
        _ => 0,
    };
    let needed = of(&levels, "users_default").saturating_add(1).max(50);
    let mut changed = false;
    for name in ["events_default", "invite"] {
        if of(&levels, name) < needed {
            let level = CanonicalJsonValue::Integer(Int::new_saturating(needed));
            levels.insert(name.to_owned(), level);
            changed = true;
        }
    }
    changed.then_some(levels)
}
