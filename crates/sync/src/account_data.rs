//! A user's account data within a stretch of the user's log.

use std::collections::HashMap;

use bytes::Bytes;
use ganglion_model::{RoomNid, Shard, UserNid};
use ganglion_rooms::View;
use ganglion_storage::StorageError;
use ganglion_storage::timeline::{self, Range};
use ruma::UserId;

use crate::tail::{Entry, Tail};

/// The global account data; rooms have numbers above it.
const GLOBAL: RoomNid = RoomNid(0);

/// By room, types with their last content, in the order of the log.
#[derive(Debug, Default)]
pub(crate) struct AccountData(HashMap<RoomNid, Vec<(String, Bytes)>>);

impl AccountData {
    /// Takes the global account data.
    pub(crate) fn take_global(&mut self) -> Vec<(String, Bytes)> {
        self.take(GLOBAL)
    }

    /// Takes that of a room.
    pub(crate) fn take(&mut self, room: RoomNid) -> Vec<(String, Bytes)> {
        self.0.remove(&room).unwrap_or_default()
    }

    /// Whether there is some of a room.
    pub(crate) fn has(&self, room: RoomNid) -> bool {
        self.0.contains_key(&room)
    }

    /// Adds what is newer than all that is there.
    fn add(&mut self, room: RoomNid, data_type: String, content: Bytes) {
        let data = self.0.entry(room).or_default();
        data.retain(|(known, _)| *known != data_type);
        data.push((data_type, content));
    }

    /// Adds all account data of some rooms in place of what is there.
    pub(crate) async fn add_rooms(
        &mut self,
        view: &mut View,
        (shard, user): (Shard, UserNid),
        rooms: &[RoomNid],
    ) -> Result<(), StorageError> {
        for room in rooms {
            self.take(*room);
        }
        let snapshot = view.snapshot().await?;
        for record in timeline::room_account_data(snapshot, shard, user, rooms).await? {
            self.add(record.room_nid, record.data_type, record.content);
        }
        Ok(())
    }
}

/// What was set within the range, from memory if it is there.
pub(crate) async fn within(
    tail: &Tail,
    view: &mut View,
    (shard, user): (Shard, UserNid),
    range: Range,
) -> Result<AccountData, StorageError> {
    let mut data = AccountData::default();
    if range.up_to <= range.after {
        return Ok(data);
    }
    if let Some(entries) = tail.of_user(shard, user, range) {
        for (_, entry) in entries.into_iter().rev() {
            if let Entry::AccountData {
                room,
                data_type,
                content,
                ..
            } = entry
            {
                data.add(room, data_type, content);
            }
        }
        return Ok(data);
    }
    for record in timeline::account_data(view.snapshot().await?, shard, user, range).await? {
        data.add(record.room_nid, record.data_type, record.content);
    }
    Ok(data)
}

/// The push rules of a user who never changed them: type and content.
pub(crate) fn default_push_rules(user_id: &UserId) -> (String, Bytes) {
    let content = ganglion_push_rules::content(None, user_id);
    (ganglion_push_rules::TYPE.to_owned(), Bytes::from(content))
}
