//! In which section of the response a room belongs, by the user's membership changes alone.

use ganglion_model::{EventNid, Membership, Position};
use ganglion_rooms::visibility::{change_at, membership_at};
use ganglion_storage::memberships::MembershipRecord;
use ganglion_storage::timeline::Range;

/// What a response tells of a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plan {
    /// Nothing.
    Nothing,
    /// Joined all the time since the token: what is new, if anything is.
    Joined,
    /// Joined, and the client does not know the room as it was at the token: all of it.
    NewlyJoined,
    /// Invited by this event.
    Invite(EventNid),
    /// Has knocked by this event.
    Knock(EventNid),
    /// Left or banned: the log within the range.
    Left(Range, Base),
}

/// From where a room's state is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Base {
    /// All of it.
    Whole,
    /// What has changed after this position.
    Since(Position),
    /// None of it: the user never was in the room.
    Nothing,
}

/// What the client asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    /// The token's position in the room's shard; `None` without a token.
    pub(crate) since: Option<Position>,
    /// The response's position in the room's shard.
    pub(crate) now: Position,
    /// Without a token, rooms that were left, too.
    pub(crate) include_leave: bool,
    /// All of the state is told, though there is a token.
    pub(crate) full_state: bool,
}

/// The place of a room in the response.
pub(crate) fn plan(changes: &[MembershipRecord], asked: Asked) -> Plan {
    let Some(current) = change_at(changes, asked.now) else {
        return Plan::Nothing;
    };
    let since = asked.since.unwrap_or(Position::MIN);
    let before = asked.since.and_then(|since| membership_at(changes, since));
    let is_new = current.pos > since;
    match current.membership {
        Membership::Join
            if before == Some(Membership::Join) && stayed(changes, since, asked.now) =>
        {
            Plan::Joined
        }
        Membership::Join => Plan::NewlyJoined,
        Membership::Invite if is_new => Plan::Invite(current.event_nid),
        Membership::Knock if is_new => Plan::Knock(current.event_nid),
        Membership::Leave | Membership::Ban => left(changes, asked, before),
        Membership::Invite | Membership::Knock => Plan::Nothing,
    }
}

/// Whether all changes within (since, now] are joins, such as changes of the display name.
fn stayed(changes: &[MembershipRecord], since: Position, now: Position) -> bool {
    within(changes, since, now).all(|change| change.membership == Membership::Join)
}

fn within(
    changes: &[MembershipRecord],
    after: Position,
    up_to: Position,
) -> impl DoubleEndedIterator<Item = &MembershipRecord> {
    changes
        .iter()
        .filter(move |change| change.pos > after && change.pos <= up_to)
}

fn left(changes: &[MembershipRecord], asked: Asked, before: Option<Membership>) -> Plan {
    let start = Position::MIN;
    let since = asked.since.unwrap_or(start);
    let join = within(changes, start, asked.now)
        .rfind(|change| change.membership == Membership::Join)
        .map(|change| change.pos);
    // The first change after the last stay ended it.
    let end = join.and_then(|join| within(changes, join, asked.now).next().map(|c| c.pos));
    match (join, end) {
        (Some(join), Some(end)) if asked.since.is_some() && end > since => {
            if before == Some(Membership::Join) && stayed(changes, since, join) {
                let base = if asked.full_state {
                    Base::Whole
                } else {
                    Base::Since(since)
                };
                Plan::Left(
                    Range {
                        after: since,
                        up_to: end,
                    },
                    base,
                )
            } else {
                Plan::Left(
                    Range {
                        after: start,
                        up_to: end,
                    },
                    Base::Whole,
                )
            }
        }
        // `full_state` is of "all rooms the user is a member of": with a token, left rooms are told once.
        (Some(_), Some(end)) if asked.since.is_none() && asked.include_leave => Plan::Left(
            Range {
                after: start,
                up_to: end,
            },
            Base::Whole,
        ),
        _ if asked.since.is_some() => declined(changes, since, asked.now, before),
        _ => Plan::Nothing,
    }
}

/// An invitation or a knock that came to nothing: the client must learn that it is over.
fn declined(
    changes: &[MembershipRecord],
    since: Position,
    now: Position,
    before: Option<Membership>,
) -> Plan {
    let pending = |m: Membership| matches!(m, Membership::Invite | Membership::Knock);
    let mut known = before.is_some_and(pending);
    let mut over = None;
    for change in within(changes, since, now) {
        if pending(change.membership) {
            known = true;
        } else if known {
            over = Some(change.pos);
            known = false;
        }
    }
    over.map_or(Plan::Nothing, |up_to| {
        Plan::Left(
            Range {
                after: since,
                up_to,
            },
            Base::Nothing,
        )
    })
}

#[cfg(test)]
mod tests;
