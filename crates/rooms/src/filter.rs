//! Filters of clients (client-server API, "Filtering").

use ruma::UserId;
use ruma::api::client::filter::{Filter, LazyLoadOptions, RoomEventFilter, RoomFilter, UrlFilter};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::event::RoomEvent;

/// True if the filter lets events of the room pass at all.
#[must_use]
pub fn accepts_room(filter: &RoomFilter, room_id: &str) -> bool {
    listed(filter.rooms.as_deref(), &filter.not_rooms, |id| {
        id.as_str() == room_id
    })
}

/// True if a part of the room filter (state, timeline and so on) lets the room pass.
#[must_use]
pub fn accepts_room_in(filter: &RoomEventFilter, room_id: &str) -> bool {
    listed(filter.rooms.as_deref(), &filter.not_rooms, |id| {
        id.as_str() == room_id
    })
}

/// True if the filter lets the event pass; its rooms are for [`accepts_room_in`].
#[must_use]
pub fn accepts(filter: &RoomEventFilter, event: &RoomEvent) -> bool {
    accepts_words(filter, &event.event_type, &event.sender)
        && match filter.url_filter {
            None => true,
            Some(UrlFilter::EventsWithUrl) => has_url(&event.content),
            Some(UrlFilter::EventsWithoutUrl) => !has_url(&event.content),
        }
}

/// True if a filter of room data lets something of this type and sender pass.
#[must_use]
pub fn accepts_words(filter: &RoomEventFilter, event_type: &str, sender: &str) -> bool {
    listed(filter.types.as_deref(), &filter.not_types, |pattern| {
        matches(pattern, event_type)
    }) && listed(filter.senders.as_deref(), &filter.not_senders, |id| {
        id.as_str() == sender
    })
}

/// True if a filter of a room's ephemeral events lets events of this type, whose content has no `url`,
/// pass at all.
#[must_use]
pub fn accepts_type(filter: &RoomEventFilter, event_type: &str) -> bool {
    filter.url_filter != Some(UrlFilter::EventsWithUrl)
        && listed(filter.types.as_deref(), &filter.not_types, |pattern| {
            matches(pattern, event_type)
        })
}

/// True if a filter of data outside rooms lets something of this type, from this user, pass.
#[must_use]
pub fn accepts_data(filter: &Filter, event_type: &str, sender: &UserId) -> bool {
    listed(filter.types.as_deref(), &filter.not_types, |pattern| {
        matches(pattern, event_type)
    }) && listed(filter.senders.as_deref(), &filter.not_senders, |id| {
        id == sender
    })
}

/// True if members are to be loaded lazily.
#[must_use]
pub fn is_lazy(filter: &RoomEventFilter) -> bool {
    !filter.lazy_load_options.is_disabled()
}

/// True if members are to be sent again although the client has them.
#[must_use]
pub fn wants_redundant_members(filter: &RoomEventFilter) -> bool {
    filter.lazy_load_options
        == LazyLoadOptions::Enabled {
            include_redundant_members: true,
        }
}

/// The filter's limit, or `default`, at most `highest`.
#[must_use]
pub fn limit(filter: &RoomEventFilter, default: usize, highest: usize) -> usize {
    let asked = filter
        .limit
        .map(|limit| usize::try_from(u64::from(limit)).unwrap_or(usize::MAX));
    asked.unwrap_or(default).min(highest)
}

/// In the list, if there is one, and not in the list of exclusions, which goes first.
fn listed<T>(only: Option<&[T]>, not: &[T], is: impl Fn(&T) -> bool) -> bool {
    !not.iter().any(&is) && only.is_none_or(|only| only.iter().any(&is))
}

/// True if the text has the pattern's form, in which `*` stands for any sequence of characters.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(mut left) = text.strip_prefix(start) else {
        return false;
    };
    let (middle, end) = rest.rsplit_once('*').unwrap_or(("", rest));
    for part in middle.split('*') {
        // Taking the first place leaves the most for the parts behind it.
        match left.split_once(part) {
            Some((_, after)) => left = after,
            None => return false,
        }
    }
    left.ends_with(end)
}

#[derive(Deserialize)]
struct Content {
    url: Option<IgnoredAny>,
}

fn has_url(content: &[u8]) -> bool {
    serde_json::from_slice::<Content>(content).is_ok_and(|content| content.url.is_some())
}

#[cfg(test)]
mod tests;
