//! The timeline of one room: the last events of a stretch of its log that the user may see and wants.

use std::ops::ControlFlow;
use std::sync::Arc;

use ganglion_model::{Position, UserNid};
use ganglion_rooms::ignored::Ignored;
use ganglion_rooms::visibility::is_visible;
use ganglion_rooms::{RoomEvent, filter};
use ganglion_storage::memberships::MembershipRecord;
use ganglion_storage::timeline::Range;
use ruma::api::client::filter::RoomEventFilter;

/// Events looked at for one timeline before it is called limited: hidden and filtered ones cost,
/// too.
const MOST_SCANNED: usize = 2_000;

/// What a room shows of a stretch of its log.
#[derive(Debug, Default)]
pub(crate) struct Timeline {
    /// The oldest first.
    pub(crate) events: Vec<Arc<RoomEvent>>,
    /// More was to be shown than the limit allows, or than goes with one state.
    pub(crate) limited: bool,
    /// All events shown are after it, and the state belongs here: the place before the first one, or
    /// the end of the stretch if there is none.
    pub(crate) start: Position,
    /// Something lies between the beginning of the stretch and `start`.
    pub(crate) skipped: bool,
    /// Something in the stretch may have changed the room's summary.
    pub(crate) summary_changed: bool,
    /// Something in the stretch may have changed the room's state, whether it is shown or not.
    pub(crate) state_changed: bool,
}

/// What decides which events a timeline shows.
pub(crate) struct Shown<'a> {
    /// The client's.
    pub(crate) filter: &'a RoomEventFilter,
    /// For whom.
    pub(crate) user: UserNid,
    /// The user's membership changes in the room.
    pub(crate) changes: &'a [MembershipRecord],
    /// Whom the user ignores.
    pub(crate) ignored: &'a Ignored,
}

impl Shown<'_> {
    fn sees(&self, event: &RoomEvent) -> bool {
        is_visible(event, self.user, self.changes)
    }

    fn wants(&self, event: &RoomEvent) -> bool {
        filter::accepts(self.filter, event) && !self.ignored.hides(event)
    }
}

/// Puts a timeline together from entries that are offered newest first.
pub(crate) struct Builder<'a> {
    shown: Shown<'a>,
    limit: usize,
    scanned: usize,
    /// A state event that is hidden was passed: who applies the events from below it on would miss it.
    torn: bool,
    timeline: Timeline,
}

impl<'a> Builder<'a> {
    pub(crate) fn new(shown: Shown<'a>, (limit, range): (usize, Range)) -> Self {
        let timeline = Timeline {
            start: range.up_to,
            ..Timeline::default()
        };
        Self {
            shown,
            limit,
            scanned: 0,
            torn: false,
            timeline,
        }
    }

    /// Takes the next older event; `Break` once the timeline is full.
    pub(crate) fn offer(&mut self, event: Arc<RoomEvent>) -> ControlFlow<()> {
        self.scanned += 1;
        let timeline = &mut self.timeline;
        timeline.summary_changed |= changes_summary(&event);
        timeline.state_changed |= event.state_key.is_some();
        let visible = self.shown.sees(&event);
        // Such as what happened between two stays: the timeline begins behind it, where the state is
        // told.
        self.torn |= !visible && event.state_key.is_some();
        if !visible || !self.shown.wants(&event) {
            timeline.skipped = true;
            // Where nothing was found for long, the client goes on by /messages.
            timeline.limited |= self.scanned >= MOST_SCANNED;
            return if timeline.limited {
                timeline.state_changed = true;
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            };
        }
        if self.torn || timeline.events.len() >= self.limit {
            timeline.limited = true;
            timeline.skipped = true;
            timeline.state_changed = true;
            return ControlFlow::Break(());
        }
        timeline.start = event.pos.map_or(timeline.start, |pos| pos - 1);
        timeline.skipped = false;
        timeline.events.push(event);
        ControlFlow::Continue(())
    }

    /// Takes a change of the room that no event shows.
    pub(crate) fn offer_change(&mut self) {
        self.timeline.skipped = true;
        self.timeline.summary_changed = true;
        self.timeline.state_changed = true;
    }

    /// Below all that was offered lies something that was not read.
    pub(crate) fn note_unread(&mut self) {
        self.timeline.skipped = true;
        self.timeline.summary_changed = true;
        self.timeline.state_changed = true;
    }

    /// The timeline of all that was offered.
    pub(crate) fn finish(mut self) -> Timeline {
        self.timeline.events.reverse();
        self.timeline
    }
}

/// True for the events from which a room's summary is made, and for those that may take the content
/// of one.
pub(crate) fn changes_summary(event: &RoomEvent) -> bool {
    event.membership.is_some()
        || event.event_type == "m.room.redaction"
        || event.is_state("m.room.name", "")
        || event.is_state("m.room.canonical_alias", "")
}

#[cfg(test)]
pub(crate) mod tests;
