//! Account data: what a client sets whole, and what is changed in place, so that two devices that
//! change it at once lose nothing.

use std::collections::BTreeMap;

use ganglion_cluster::owner::Outcome;
use ganglion_event_rules::content::is_storable_key;
use ganglion_model::{MatrixError, RoomNid, UserNid};
use ganglion_proto::log;
use ganglion_proto::persister::{SetAccountData, SetTag};
use ganglion_storage::batch::AccountDataRow;
use ganglion_storage::log::kind;
use serde_json::value::RawValue;

use super::Draft;
use crate::users::facts::TAGS;

/// Tags of one room.
const MAX_TAGS: usize = 100;
/// All tags of one room, as JSON.
const MAX_TAGS_BYTES: usize = 64 * 1024;

/// The tags of a room: name and content.
type Tags = BTreeMap<String, Box<RawValue>>;

impl Draft {
    pub(super) fn set_account_data(
        &mut self,
        user: UserNid,
        set: &SetAccountData,
    ) -> Result<Outcome, MatrixError> {
        if set.r#type.is_empty() || !is_storable_key(&set.r#type) {
            return Err(MatrixError::invalid_param("not a type of account data"));
        }
        let room = match &set.room_id {
            Some(room) => Some(self.known_room(room)?),
            None => None,
        };
        self.put_account_data((user, room, &set.r#type), set.content.to_vec());
        Ok(self.done(String::new()))
    }

    pub(super) fn set_tag(&mut self, user: UserNid, set: &SetTag) -> Result<Outcome, MatrixError> {
        if set.tag.is_empty() || !is_storable_key(&set.tag) {
            return Err(MatrixError::invalid_param("not a name of a tag"));
        }
        let room = self.known_room(&set.room_id)?;
        let mut tags = self.tags(user, room);
        match &set.content {
            Some(content) => {
                let content = String::from_utf8_lossy(content).into_owned();
                let content = RawValue::from_string(content)
                    .map_err(|error| MatrixError::bad_json(error.to_string()))?;
                let old = tags.insert(set.tag.clone(), content);
                if old.is_some_and(|old| Some(old.get()) == tags.get(&set.tag).map(|c| c.get())) {
                    return Ok(Outcome::Unchanged(self.outcome(String::new())));
                }
            }
            None => {
                if tags.remove(&set.tag).is_none() {
                    return Ok(Outcome::Unchanged(self.outcome(String::new())));
                }
            }
        }
        self.put_tags(user, room, &tags)?;
        Ok(self.done(String::new()))
    }

    /// The tags of a room, as far as they are tags.
    pub(super) fn tags(&self, user: UserNid, room: RoomNid) -> Tags {
        #[derive(serde::Deserialize)]
        struct Content {
            tags: Tags,
        }
        let stored = self.account_data(user, Some(room), TAGS);
        let content = stored.and_then(|stored| serde_json::from_slice::<Content>(stored).ok());
        content.map_or_else(Tags::new, |content| content.tags)
    }

    /// # Errors
    /// 400 for too many or too large ones; nothing is changed then.
    pub(super) fn put_tags(
        &mut self,
        user: UserNid,
        room: RoomNid,
        tags: &Tags,
    ) -> Result<(), MatrixError> {
        if tags.len() > MAX_TAGS {
            let message = format!("a room has at most {MAX_TAGS} tags");
            return Err(MatrixError::new(400, "M_LIMIT_EXCEEDED", message));
        }
        let content = serde_json::to_vec(&BTreeMap::from([("tags", tags)]))
            .map_err(|error| MatrixError::bad_json(error.to_string()))?;
        if content.len() > MAX_TAGS_BYTES {
            return Err(MatrixError::too_large(
                "the tags of a room have at most 64 KiB",
            ));
        }
        self.put_account_data((user, Some(room), TAGS), content);
        Ok(())
    }

    /// What is stored now; `None` also for what the commands of the batch do not change in place.
    pub(super) fn account_data(
        &self,
        user: UserNid,
        room: Option<RoomNid>,
        data_type: &str,
    ) -> Option<&[u8]> {
        let key = (user, room, data_type.to_owned());
        self.facts.account_data.get(&key).map(Vec::as_slice)
    }

    /// Writes one piece of account data and its log entry.
    pub(super) fn put_account_data(
        &mut self,
        (user, room, data_type): (UserNid, Option<RoomNid>, &str),
        content: Vec<u8>,
    ) {
        let earlier = self.rows.account_data.iter().position(|row| {
            row.user_nid == user && row.room_nid == room && row.data_type == data_type
        });
        if let Some(earlier) = earlier {
            // Superseded before it was ever read: its position is void.
            let row = self.rows.account_data.swap_remove(earlier);
            self.entries.retain(|entry| entry.pos != row.pos);
        }
        let entry = log::AccountData {
            user_nid: user.0,
            room_nid: room.map_or(0, |room| room.0),
            r#type: data_type.to_owned(),
            content: content.clone().into(),
        };
        let pos = self.log(kind::ACCOUNT_DATA, &entry);
        let key = (user, room, data_type.to_owned());
        self.facts.account_data.insert(key, content.clone());
        self.rows.account_data.push(AccountDataRow {
            user_nid: user,
            room_nid: room,
            data_type: data_type.to_owned(),
            content,
            pos,
        });
    }

    /// The number of a room that a command names.
    pub(super) fn known_room(&self, room: &str) -> Result<RoomNid, MatrixError> {
        let known = self.facts.rooms.get(room).copied();
        known.ok_or_else(|| MatrixError::not_found("this room is not known"))
    }
}
