//! Users who wished to be erased: who has come into a room since is served redacted copies of what they
//! said there (client-server API, `POST /account/deactivate`, `erase`).

use std::collections::HashSet;

use ganglion_event_rules::RoomVersion;
use ganglion_event_rules::redact::redact;
use ganglion_model::Membership;
use ganglion_storage::memberships::MembershipRecord;
use ganglion_storage::{StorageError, accounts};

use crate::event::RoomEvent;
use crate::room::{RoomInfo, Rooms};
use crate::view::View;

/// The user's first join, as far as it is not forgotten.
fn first_join(changes: &[MembershipRecord]) -> Option<&MembershipRecord> {
    let mut joins = changes.iter();
    joins.find(|change| change.membership == Membership::Join)
}

/// Whether an erasure may concern the event: it was sent before the user first came into the room (who
/// has sent something after that was not erased before it), and it is the sender's own word, or a
/// member event with its name and picture. Other state is the room's.
pub(crate) fn may_be_erased(event: &RoomEvent, changes: &[MembershipRecord]) -> bool {
    if event.state_key.is_some() && event.membership.is_none() {
        return false;
    }
    let Some(pos) = event.pos else { return true };
    first_join(changes).is_none_or(|join| pos < join.pos)
}

/// The senders of such events of whom no other event shows that they were not erased when the user came:
/// a profile that is changed needs no look at the account because of the one before. A leave shows
/// nothing: it is made for who is erased, too.
fn maybe_erased<'e>(
    changes: &[MembershipRecord],
    events: impl Iterator<Item = &'e RoomEvent>,
) -> Vec<&'e str> {
    let (mut senders, mut active) = (HashSet::new(), HashSet::new());
    for event in events {
        if may_be_erased(event, changes) {
            senders.insert(event.sender.as_str());
        }
        let came = first_join(changes).map(|join| join.pos);
        if event.membership != Some(Membership::Leave) && came.is_some() && event.pos >= came {
            active.insert(event.sender.as_str());
        }
    }
    senders.difference(&active).copied().collect()
}

/// The content as a redaction would leave it.
pub(crate) fn redacted_content(event: &RoomEvent, version: RoomVersion) -> Vec<u8> {
    let left = redact(&event.event_type, &event.content, b"{}", version);
    left.map_or_else(|_damaged| b"{}".to_vec(), |left| left.content)
}

impl Rooms {
    /// Of the senders of such events, those who had been erased when the user came. Nothing is read
    /// where the events alone show that there is none.
    ///
    /// # Errors
    /// As [`View::snapshot`].
    pub(crate) async fn erased_senders<'e>(
        &self,
        view: &mut View,
        room: &RoomInfo,
        changes: &[MembershipRecord],
        events: impl Iterator<Item = &'e RoomEvent>,
    ) -> Result<HashSet<String>, StorageError> {
        let senders = maybe_erased(changes, events);
        if senders.is_empty() {
            return Ok(HashSet::new());
        }
        let erased = accounts::erased(view.snapshot().await?, &senders).await?;
        let joined_at = match first_join(changes) {
            Some(join) if !erased.is_empty() => {
                let found = self.events(view, room, [join.event_nid]).await?;
                found
                    .get(&join.event_nid)
                    .map(|event| event.origin_server_ts)
            }
            _ => None,
        };
        let since = |at: i64| joined_at.is_none_or(|joined_at| joined_at > at);
        let gone = erased.into_iter().filter(|(_, at)| since(*at));
        Ok(gone.map(|(user, _)| user).collect())
    }
}

#[cfg(test)]
mod tests;
