//! Receipts on their way through the tail.

use std::sync::Arc;
use std::time::Duration;

use ganglion_model::{RoomNid, Shard};
use ganglion_proto::log;
use ganglion_storage::receipts::{Receipt, ReceiptKind};
use ganglion_storage::timeline::Range;

use super::{Tail, Touched, decoded, lock};
use crate::receipts::from_log;

/// How late those who wait for a crowded room hear of others' receipts.
const LATE: Duration = Duration::from_secs(2);

impl Tail {
    /// The receipts of some rooms of a shard within a range, of each room the newest first, private
    /// ones of all users and superseded ones among them; `None` if they are not all here.
    pub(crate) fn receipts(
        &self,
        shard: Shard,
        rooms: &[RoomNid],
        range: Range,
    ) -> Option<Vec<Arc<Receipt>>> {
        let ring = &self.rings(shard)?.receipts;
        let mut found = Vec::new();
        for room in rooms {
            let of_room = ring.of_room(*room, range, usize::MAX)?;
            found.extend(of_room.into_iter().map(|(_, receipt)| receipt));
        }
        Some(found)
    }

    /// Decodes a receipt, tells the user's own list of it, and notes whom to wake.
    pub(super) fn receipt(
        &self,
        entry: &log::Entry,
        touched: &mut Touched,
    ) -> Option<Arc<Receipt>> {
        let entry_pos = entry.pos;
        let entry = decoded::<log::Receipt>(entry)?;
        let crowded = entry.crowded;
        let receipt = Arc::new(from_log(entry, entry_pos)?);
        let (room, user) = (receipt.key.room_nid, receipt.key.user_nid);
        self.0.own_receipts.applied(user, || Some(receipt.clone()));
        touched.users.push(user);
        if receipt.key.kind == ReceiptKind::Read {
            let wake = if crowded {
                &mut touched.late
            } else {
                &mut touched.rooms
            };
            wake.push(room);
        }
        Some(receipt)
    }

    /// Wakes those who wait for a room, in a while; everything until then wakes them once.
    pub(super) fn wake_late(&self, room: RoomNid) {
        if !lock(&self.0.late).insert(room) {
            return;
        }
        let tail = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(LATE).await;
            lock(&tail.0.late).remove(&room);
            lock(&tail.0.waiters).wake_room(room);
        });
    }
}
