//! Read receipts (client-server API, "Receipts").

use std::collections::{BTreeMap, HashMap};

use ganglion_cluster::owner::Pending;
use ganglion_model::{MatrixError, Membership, Position, RoomNid, UserNid};
use ganglion_proto::log;
use ganglion_proto::persister::room_command::Command;
use ganglion_proto::persister::{Receipt, RoomCommand, SetReceipts};
use ganglion_storage::StorageError;
use ganglion_storage::batch::ReceiptRow;
use ganglion_storage::log::kind;
use ganglion_storage::receipts::{self, ReceiptKey, ReceiptKind};
use ruma::{OwnedRoomId, OwnedUserId, RoomId};

use super::local::parse_user;
use super::membership::{member_key, membership};
use super::part::{Part, Step};
use super::room::Room;
use super::{Done, OutcomeDone, RoomShard};

/// A room with more joined members is a crowd: others need not hear of a receipt there at once.
const CROWD: i64 = 100;
/// How long the answer to whether a room is one holds.
const CROWD_MS: i64 = 60_000;

impl RoomShard {
    /// Looks up, all at once, where the receipts stand that a batch wants to move.
    pub(super) async fn preload_receipts(
        &mut self,
        commands: &[&Pending<RoomCommand>],
    ) -> Result<(), StorageError> {
        let mut wanted: BTreeMap<ReceiptKey, OwnedRoomId> = BTreeMap::new();
        for pending in commands {
            let Some(Command::SetReceipts(set)) = &pending.command.command else {
                continue;
            };
            let (Ok(room_id), Ok(user)) = (
                RoomId::parse(&pending.command.room_id),
                parse_user(&set.user_id),
            ) else {
                continue;
            };
            let Some(room) = self.rooms.get(&room_id) else {
                continue;
            };
            let user = self.shared.words.user(user.as_str()).await?;
            let keys = set.receipts.iter().filter_map(|r| key(room.nid, user, r));
            let unknown = keys.filter(|key| !room.read_up_to.contains_key(key));
            wanted.extend(unknown.map(|key| (key, room_id.clone())));
        }
        if wanted.is_empty() {
            return Ok(());
        }
        let keys: Vec<ReceiptKey> = wanted.keys().cloned().collect();
        let primary = self.shared.db.primary().await?;
        let found = receipts::places(&primary, self.shard, &keys).await?;
        drop(primary);
        let found: HashMap<ReceiptKey, Position> = found.into_iter().collect();
        for (key, room_id) in wanted {
            if let Some(room) = self.rooms.get_mut(&room_id) {
                let place = found.get(&key).copied();
                room.read_up_to.insert(key, place);
            }
        }
        Ok(())
    }

    /// Moves those receipts that point behind where they are.
    pub(super) async fn set_receipts(
        &self,
        room: &mut Room,
        set: &SetReceipts,
        part: &mut Part,
    ) -> Step<Done> {
        let user_id = parse_user(&set.user_id)?;
        self.ensure_state(room, &[member_key(&user_id)]).await?;
        if membership(room, &user_id) != Some(Membership::Join) {
            return Err(MatrixError::forbidden("you are not in this room").into());
        }
        let user = self.shared.words.user(user_id.as_str()).await?;
        let keys = set.receipts.iter().map(|r| key(room.nid, user, r));
        let keys: Option<Vec<ReceiptKey>> = keys.collect();
        let keys = keys.ok_or_else(|| {
            MatrixError::new(400, "M_UNRECOGNIZED", "a receipt of a later version")
        })?;
        let mut moved = false;
        for (key, receipt) in keys.into_iter().zip(&set.receipts) {
            let place = self.place_of(room, &key).await?;
            if place.is_none_or(|place| place < receipt.event_pos) {
                let crowded = self.is_crowded(room, part.now_ms).await?;
                room.read_up_to.insert(key.clone(), Some(receipt.event_pos));
                move_receipt(part, (&user_id, key), receipt, crowded);
                moved = true;
            }
        }
        let done = OutcomeDone {
            event_id: String::new(),
            value: String::new(),
            position: part.next - 1,
        };
        Ok(if moved {
            Done::Written(done)
        } else {
            Done::Unchanged(done)
        })
    }

    /// Where a receipt points; it is looked up here only if the room came into memory in this batch.
    async fn place_of(
        &self,
        room: &mut Room,
        key: &ReceiptKey,
    ) -> Result<Option<Position>, StorageError> {
        if let Some(place) = room.read_up_to.get(key) {
            return Ok(*place);
        }
        let primary = self.shared.db.primary().await?;
        let found = receipts::places(&primary, self.shard, std::slice::from_ref(key)).await?;
        let place = found.first().map(|(_, place)| *place);
        room.read_up_to.insert(key.clone(), place);
        Ok(place)
    }

    async fn is_crowded(&self, room: &mut Room, now_ms: i64) -> Result<bool, StorageError> {
        if let Some((crowded, at)) = room.crowded
            && now_ms - at < CROWD_MS
        {
            return Ok(crowded);
        }
        let primary = self.shared.db.primary().await?;
        let crowded = receipts::is_crowded(&primary, (self.shard, room.nid), CROWD).await?;
        room.crowded = Some((crowded, now_ms));
        Ok(crowded)
    }
}

/// `None` for a kind of a later version.
fn key(room_nid: RoomNid, user_nid: UserNid, receipt: &Receipt) -> Option<ReceiptKey> {
    Some(ReceiptKey {
        room_nid,
        user_nid,
        kind: ReceiptKind::from_number(receipt.kind)?,
        thread: receipt.thread_id.clone().unwrap_or_default(),
    })
}

fn move_receipt(
    part: &mut Part,
    (user_id, key): (&OwnedUserId, ReceiptKey),
    receipt: &Receipt,
    crowded: bool,
) {
    let pos = part.position();
    let entry = log::Receipt {
        room_nid: key.room_nid.0,
        user_nid: key.user_nid.0,
        user_id: user_id.to_string(),
        kind: key.kind.number(),
        thread_id: receipt.thread_id.clone(),
        event_id: receipt.event_id.clone(),
        event_pos: receipt.event_pos,
        ts: part.now_ms,
        crowded,
    };
    part.log(pos, kind::RECEIPT, &entry);
    let row = ReceiptRow {
        pos,
        event_id: receipt.event_id.clone(),
        event_pos: receipt.event_pos,
        at_ms: part.now_ms,
        crowded,
    };
    part.set_receipt(key, row);
}
