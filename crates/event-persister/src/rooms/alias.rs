//! Aliases of this server's name (client-server API, "Room aliases") and the public directory.

use ganglion_model::{MatrixError, Membership};
use ganglion_proto::persister::{DeleteAlias, SetAlias, SetPublished};
use ganglion_storage::rooms;
use ruma::{CanonicalJsonObject, CanonicalJsonValue, RoomAliasId, ServerName};

use super::local::{Intent, parse_content, parse_user};
use super::membership::{key, may_set, member_key, membership};
use super::part::{Part, Step, Stop};
use super::room::Room;
use super::{Done, OutcomeDone, RoomShard, done};

/// Who may send it decides about the room's aliases and its place in the public directory.
pub(super) const CANONICAL_ALIAS: &str = "m.room.canonical_alias";

impl RoomShard {
    pub(super) async fn set_alias(
        &self,
        room: &mut Room,
        set: &SetAlias,
        part: &mut Part,
    ) -> Step<Done> {
        check_alias(&set.alias, &self.shared.server_name)?;
        let creator = parse_user(&set.creator)?;
        self.ensure_state(room, &[member_key(&creator)]).await?;
        if membership(room, &creator) != Some(Membership::Join) {
            return Err(MatrixError::forbidden("you are not in this room").into());
        }
        let primary = self.shared.db.primary().await?;
        if rooms::alias(&primary, &set.alias).await?.is_some() {
            return Err(MatrixError::new(409, "M_UNKNOWN", "this alias is taken").into());
        }
        drop(primary);
        let creator = self.shared.words.user(creator.as_str()).await?;
        part.rows
            .new_aliases
            .push((set.alias.clone(), room.nid, creator, part.now_ms));
        Ok(written(part))
    }

    pub(super) async fn delete_alias(
        &self,
        room: &mut Room,
        delete: &DeleteAlias,
        part: &mut Part,
    ) -> Step<Done> {
        let sender = parse_user(&delete.sender)?;
        let primary = self.shared.db.primary().await?;
        let found = rooms::alias(&primary, &delete.alias).await?;
        drop(primary);
        let Some((_, creator)) = found.filter(|(nid, _)| *nid == room.nid) else {
            return Err(MatrixError::not_found("no such alias").into());
        };
        if creator != sender.as_str() && !may_set(self, room, &sender, CANONICAL_ALIAS).await? {
            return Err(MatrixError::forbidden("this alias is not yours to delete").into());
        }
        part.rows.gone_aliases.push(delete.alias.clone());
        self.ensure_state(room, &[key(CANONICAL_ALIAS)]).await?;
        let Some(content) = without_alias(room, &delete.alias) else {
            return Ok(written(part));
        };
        // Who may not change the event deletes the alias all the same (client-server API, `DELETE
        // /directory/room/{roomAlias}`).
        let intent = Intent::state(sender, CANONICAL_ALIAS, "", content);
        match self.append(room, part, intent).await {
            Ok(_event) => Ok(done(room, part)),
            Err(Stop::Refused(_)) => Ok(written(part)),
            Err(other) => Err(other),
        }
    }

    pub(super) async fn set_published(
        &self,
        room: &mut Room,
        set: &SetPublished,
        part: &mut Part,
    ) -> Step<Done> {
        let sender = parse_user(&set.sender)?;
        if !may_set(self, room, &sender, CANONICAL_ALIAS).await? {
            return Err(MatrixError::forbidden(
                "only who may set the room's canonical alias may publish it",
            )
            .into());
        }
        part.rows.published.insert(room.nid, set.published);
        Ok(written(part))
    }
}

/// The room's canonical aliases without one; `None` if it is not among them.
fn without_alias(room: &Room, alias: &str) -> Option<CanonicalJsonObject> {
    let held = room.state(CANONICAL_ALIAS, "")?;
    let mut content = parse_content(held.event.content.get().as_bytes()).ok()?;
    let is_it = |value: &CanonicalJsonValue| value.as_str() == Some(alias);
    let mut found = false;
    if content.get("alias").is_some_and(is_it) {
        content.remove("alias");
        found = true;
    }
    if let Some(CanonicalJsonValue::Array(alternatives)) = content.get_mut("alt_aliases") {
        let before = alternatives.len();
        alternatives.retain(|value| !is_it(value));
        found |= alternatives.len() < before;
    }
    found.then_some(content)
}

/// An alias is ours to give if it bears this server's name and keeps to the grammar.
pub(super) fn check_alias(alias: &str, server_name: &ServerName) -> Result<(), MatrixError> {
    let parsed = RoomAliasId::parse(alias)
        .map_err(|_invalid| MatrixError::invalid_param("not a room alias"))?;
    if parsed.server_name() != server_name {
        return Err(MatrixError::invalid_param("an alias of another server"));
    }
    Ok(())
}

fn written(part: &Part) -> Done {
    Done::Written(OutcomeDone {
        event_id: String::new(),
        value: String::new(),
        position: part.next - 1,
    })
}
