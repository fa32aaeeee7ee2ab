//! Pages of a room's history, or of the events of it that relate to one.

use std::sync::Arc;

use ganglion_model::{Position, UserNid};
use ganglion_storage::StorageError;
use ganglion_storage::relations::{self, Related};
use ganglion_storage::timeline::{self, EventRecord, Range};
use ruma::api::Direction;
use ruma::api::client::filter::RoomEventFilter;

use crate::access::Entered;
use crate::event::RoomEvent;
use crate::filter;
use crate::room::{RoomInfo, Rooms};
use crate::view::View;
use crate::visibility::is_visible;

/// How many events one read takes, and how many reads one page may take: events that are filtered
/// out or hidden cost, too.
const READ: usize = 200;
const READS: usize = 10;

/// The events that are paged through.
#[derive(Debug, Clone, Copy)]
pub enum Source<'a> {
    /// All of the room's log.
    Log,
    /// Children of an event.
    Related(Related<'a>),
}

/// Which page.
#[derive(Debug, Clone, Copy)]
pub struct PageRequest<'a> {
    /// Of what.
    pub source: Source<'a>,
    /// Backward: events at or below `range.up_to`; forward: above `range.after`.
    pub dir: Direction,
    /// The stretch of the log it lies in.
    pub range: Range,
    /// The most events.
    pub limit: usize,
    /// Which events.
    pub filter: &'a RoomEventFilter,
}

/// A page.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// The events, in the order of the direction.
    pub events: Vec<Arc<RoomEvent>>,
    /// Where the next page begins (all events at or below it lie before it); `None` if there is
    /// none.
    pub end: Option<Position>,
}

impl Rooms {
    /// The events of a page that the user may see.
    ///
    /// # Errors
    /// As [`View::snapshot`].
    pub async fn page(
        &self,
        view: &mut View,
        entered: &Entered,
        user: UserNid,
        request: PageRequest<'_>,
    ) -> Result<Page, StorageError> {
        let mut page = Page::default();
        let mut range = request.range;
        let backward = request.dir == Direction::Backward;
        let room = &entered.room;
        if !filter::accepts_room_in(request.filter, &room.id) {
            return Ok(page);
        }
        // Mostly nothing is filtered out: one read of just enough then makes the page.
        let mut read = (request.limit + 1).clamp(20, READ);
        for _ in 0..READS {
            let count = i64::try_from(read).unwrap_or(i64::MAX);
            let records = read_events(view, room, &request, (range, count)).await?;
            let exhausted = records.len() < read;
            read = READ;
            for record in records {
                let event = RoomEvent::from_record(record, room.version);
                let Some(pos) = event.pos else { continue };
                if page.events.len() == request.limit {
                    page.end = Some(if backward { range.up_to } else { range.after });
                    return Ok(page);
                }
                if backward {
                    range.up_to = pos - 1;
                } else {
                    range.after = pos;
                }
                if is_visible(&event, user, &entered.changes)
                    && filter::accepts(request.filter, &event)
                    && !entered.ignored.hides(&event)
                {
                    page.events.push(Arc::new(event));
                }
            }
            if exhausted {
                return Ok(page);
            }
        }
        page.end = Some(if backward { range.up_to } else { range.after });
        Ok(page)
    }
}

async fn read_events(
    view: &mut View,
    room: &RoomInfo,
    request: &PageRequest<'_>,
    (range, count): (Range, i64),
) -> Result<Vec<EventRecord>, StorageError> {
    let snapshot = view.snapshot().await?;
    let place = (room.shard, room.nid);
    match (request.source, request.dir) {
        (Source::Log, Direction::Backward) => {
            timeline::latest(snapshot, room.shard, &[room.nid], range, count).await
        }
        (Source::Log, Direction::Forward) => {
            timeline::earliest(snapshot, room.shard, room.nid, range, count).await
        }
        (Source::Related(related), Direction::Backward) => {
            relations::latest(snapshot, place, related, range, count).await
        }
        (Source::Related(related), Direction::Forward) => {
            relations::earliest(snapshot, place, related, range, count).await
        }
    }
}
