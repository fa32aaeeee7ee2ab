//! The event nearest to a time.

use std::sync::Arc;

use ganglion_model::{Position, UserNid};
use ganglion_storage::StorageError;
use ganglion_storage::timeline;
use ruma::api::Direction;

use crate::access::Entered;
use crate::event::RoomEvent;
use crate::room::Rooms;
use crate::view::View;
use crate::visibility::is_visible;

/// How many events one read takes, and how many reads one search may take: hidden events cost, too.
const READ: usize = 50;
const READS: usize = 20;

impl Rooms {
    /// The first event at or after a time, or the last at or before it, of those that the user may
    /// see.
    ///
    /// # Errors
    /// As [`View::snapshot`].
    pub async fn nearest(
        &self,
        view: &mut View,
        entered: &Entered,
        user: UserNid,
        (ts, dir): (i64, Direction),
    ) -> Result<Option<Arc<RoomEvent>>, StorageError> {
        let room = &entered.room;
        let mut from = match dir {
            Direction::Forward => (ts, Position::MIN),
            Direction::Backward => (ts, Position::MAX),
        };
        // Mostly the first one is it.
        let mut read = 1;
        for _ in 0..READS {
            let count = i64::try_from(read).unwrap_or(i64::MAX);
            let snapshot = view.snapshot().await?;
            let place = (room.shard, room.nid);
            let records = match dir {
                Direction::Forward => timeline::after_time(snapshot, place, from, count).await?,
                Direction::Backward => timeline::before_time(snapshot, place, from, count).await?,
            };
            let exhausted = records.len() < read;
            read = READ;
            for record in records {
                let event = RoomEvent::from_record(record, room.version);
                if is_visible(&event, user, &entered.changes) {
                    return Ok(Some(Arc::new(event)));
                }
                from = (event.origin_server_ts, event.pos.unwrap_or(from.1));
            }
            if exhausted {
                return Ok(None);
            }
        }
        Ok(None)
    }
}
