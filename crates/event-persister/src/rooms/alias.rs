//! Aliases of this server's name (client-server API, "Room aliases").

use ganglion_model::MatrixError;
use ganglion_proto::persister::{DeleteAlias, SetAlias};
use ganglion_storage::rooms;
use ruma::{RoomAliasId, ServerName};

use super::local::parse_user;
use super::membership::{key, member_key, power_of};
use super::part::{Part, Step};
use super::room::Room;
use super::{Done, OutcomeDone, RoomShard};

impl RoomShard {
    pub(super) async fn set_alias(
        &self,
        room: &mut Room,
        set: &SetAlias,
        part: &mut Part,
    ) -> Step<Done> {
        check_alias(&set.alias, &self.shared.server_name)?;
        let creator = parse_user(&set.creator)?;
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
        if creator != sender.as_str() {
            let keys = [
                key("m.room.create"),
                key("m.room.power_levels"),
                member_key(&sender),
            ];
            self.ensure_state(room, &keys).await?;
            if !power_of(room)?.may_send(&sender, "m.room.canonical_alias", true) {
                return Err(MatrixError::forbidden("this alias is not yours to delete").into());
            }
        }
        part.rows.gone_aliases.push(delete.alias.clone());
        Ok(written(part))
    }
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
