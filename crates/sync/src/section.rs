//! One room that the user is or was in.

use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;
use ganglion_model::{Membership, PageToken, Position};
use ganglion_rooms::client_event::Writer;
use ganglion_rooms::relations::Onlooker;
use ganglion_rooms::{Extras, RoomEvent, filter};
use ganglion_storage::StorageError;
use ganglion_storage::receipts::Receipt;
use ganglion_storage::timeline::{self as stored, Range};
use ruma::api::client::filter::EventFormat;
use serde_json::{Value, json};

use crate::answer::Pass;
use crate::metrics::SOURCES;
use crate::plan::Base;
use crate::receipts;
use crate::response::{separate, write_account_data, write_text};
use crate::state;
use crate::summary::{self, Summary};
use crate::tail::Entry;
use crate::timeline::{Builder, Shown, Timeline};
use crate::unread;
use crate::users::UserRoom;

/// Events of a timeline without a limit in the filter, and the most of one with it.
const DEFAULT_LIMIT: usize = 10;
const MOST_EVENTS: usize = 100;
/// Events that one read takes at most.
const READ: usize = 200;

/// What is told of a room.
pub(crate) struct Stretch<'a> {
    pub(crate) room: &'a UserRoom,
    /// The part of the log that the timeline comes from.
    pub(crate) range: Range,
    pub(crate) base: Base,
    pub(crate) beside: Beside,
}

/// What is told of a room beside its events.
pub(crate) struct Beside {
    /// Room account data: type and content.
    pub(crate) account_data: Vec<(String, Bytes)>,
    /// Receipts.
    pub(crate) receipts: Vec<Arc<Receipt>>,
    /// Who types, if that is to be told.
    pub(crate) typing: Option<Vec<Arc<str>>>,
}

/// The room's JSON object; `None` if it has nothing to tell.
pub(crate) async fn write(
    pass: &mut Pass<'_>,
    stretch: &Stretch<'_>,
) -> Result<Option<Vec<u8>>, StorageError> {
    let timeline = timeline(pass, stretch).await?;
    let summary = summary(pass, stretch, &timeline).await?;
    let heroes = summary
        .as_ref()
        .and_then(|summary| summary.heroes.as_deref())
        .unwrap_or_default();
    let state = state::events(pass, stretch, &timeline, heroes).await?;
    let account_data = accepted(pass, stretch);
    if matches!(stretch.base, Base::Since(_))
        && timeline.events.is_empty()
        && !timeline.limited
        && state.is_empty()
        && account_data.is_empty()
        && stretch.beside.receipts.is_empty()
        && stretch.beside.typing.is_none()
        && summary.is_none()
        && is_joined(pass, stretch.room)
    {
        return Ok(None);
    }
    let room = &stretch.room.info;
    let (timeline_extras, state_extras) = extras(pass, stretch, (&timeline, &state)).await?;
    let writer = Writer {
        viewer: pass.viewer(),
        room,
        changes: &stretch.room.changes,
        extras: &timeline_extras,
        with_room_id: false,
        fields: pass.fields,
    };
    let mut out = Vec::with_capacity(1_024);
    write_pieces(&mut out, pass, stretch, account_data);
    let name = if pass.request.use_state_after {
        "state_after"
    } else {
        "state"
    };
    out.extend_from_slice(b"},\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":{\"events\":");
    Writer {
        extras: &state_extras,
        ..writer
    }
    .write_list(&mut out, state.iter().map(Arc::as_ref));
    if let Some(summary) = &summary {
        out.extend_from_slice(b"},\"summary\":");
        summary.write(&mut out);
        out.extend_from_slice(b",\"timeline\":{\"events\":");
    } else {
        out.extend_from_slice(b"},\"timeline\":{\"events\":");
    }
    writer.write_list(&mut out, timeline.events.iter().map(Arc::as_ref));
    let limited = if timeline.limited { "true" } else { "false" };
    out.extend_from_slice(format!(",\"limited\":{limited},\"prev_batch\":").as_bytes());
    let prev = PageToken {
        generation: pass.moment.generation,
        position: timeline.start,
    };
    write_text(&mut out, &prev.encode());
    out.push(b'}');
    if is_joined(pass, stretch.room) {
        let wanted = &pass.request.filter.room.timeline;
        let by_thread = wanted.unread_thread_notifications;
        let unread = unread::of_room(pass, stretch.room).await?;
        unread.write(&mut out, by_thread);
    }
    out.push(b'}');
    Ok(Some(out))
}

/// The room's account data and what passes by, up to the end of the latter's list.
fn write_pieces(
    out: &mut Vec<u8>,
    pass: &Pass<'_>,
    stretch: &Stretch<'_>,
    account_data: Vec<(&str, &Bytes)>,
) {
    out.extend_from_slice(b"{\"account_data\":{\"events\":[");
    let mut events = Vec::new();
    for (data_type, content) in account_data {
        separate(&mut events);
        write_account_data(&mut events, data_type, content);
    }
    out.extend_from_slice(&events);
    out.extend_from_slice(b"]},\"ephemeral\":{\"events\":");
    let wanted = &pass.request.filter.room.ephemeral;
    let most = filter::limit(wanted, usize::MAX, usize::MAX);
    out.extend_from_slice(ephemeral(&stretch.beside, most).to_string().as_bytes());
}

/// Who types, and the receipts: at most `most` events.
fn ephemeral(beside: &Beside, most: usize) -> Value {
    let typing = beside.typing.iter().map(|users| {
        let users: Vec<&str> = users.iter().map(Arc::as_ref).collect();
        json!({"content": {"user_ids": users}, "type": "m.typing"})
    });
    let mut events: Vec<Value> = typing.take(most).collect();
    let left = most.saturating_sub(events.len());
    events.extend(receipts::events(&beside.receipts, left));
    Value::from(events)
}

/// What the timeline and the state are shown with.
async fn extras(
    pass: &mut Pass<'_>,
    stretch: &Stretch<'_>,
    (timeline, state): (&Timeline, &[Arc<RoomEvent>]),
) -> Result<(Extras, Extras), StorageError> {
    let (rooms, room) = (&pass.engine.rooms, &stretch.room.info);
    let mut of_timeline = timeline_extras(pass, stretch, timeline).await?;
    let mut of_state = rooms.state_extras(&mut pass.view, room, state).await?;
    if pass.request.filter.event_format == EventFormat::Federation {
        let view = &mut pass.view;
        let shown = (timeline.events.as_slice(), &*stretch.room.changes);
        rooms.add_raw(view, room, shown, &mut of_timeline).await?;
        let shown = (state, &*stretch.room.changes);
        rooms.add_raw(view, room, shown, &mut of_state).await?;
    }
    Ok((of_timeline, of_state))
}

async fn timeline_extras(
    pass: &mut Pass<'_>,
    stretch: &Stretch<'_>,
    timeline: &Timeline,
) -> Result<Extras, StorageError> {
    let (rooms, room) = (&pass.engine.rooms, &stretch.room.info);
    // Where nothing was left out the client has got all children itself (client-server API,
    // "Aggregations of child events").
    if !timeline.limited {
        let changes = &stretch.room.changes;
        return rooms
            .extras(&mut pass.view, room, &timeline.events, changes)
            .await;
    }
    let onlooker = Onlooker {
        viewer: pass.viewer(),
        changes: &stretch.room.changes,
        up_to: pass.moment.rooms.get(room.shard),
    };
    rooms
        .extras_with_relations(&mut pass.view, room, &timeline.events, onlooker)
        .await
}

fn is_joined(pass: &Pass<'_>, room: &UserRoom) -> bool {
    let now = pass.moment.rooms.get(room.info.shard);
    ganglion_rooms::visibility::membership_at(&room.changes, now) == Some(Membership::Join)
}

/// Of the account data, what the filter lets pass.
fn accepted<'s>(pass: &Pass<'_>, stretch: &'s Stretch<'_>) -> Vec<(&'s str, &'s Bytes)> {
    let wanted = &pass.request.filter.room.account_data;
    if !filter::accepts_room_in(wanted, &stretch.room.info.id) {
        return Vec::new();
    }
    let user_id = pass.request.user_id.as_str();
    let data = stretch.beside.account_data.iter();
    data.filter(|(data_type, _)| filter::accepts_words(wanted, data_type, user_id))
        .map(|(data_type, content)| (data_type.as_str(), content))
        .collect()
}

async fn timeline(pass: &mut Pass<'_>, stretch: &Stretch<'_>) -> Result<Timeline, StorageError> {
    let request = pass.request;
    let wanted = &request.filter.room.timeline;
    let limit = filter::limit(wanted, DEFAULT_LIMIT, MOST_EVENTS);
    let place = (limit, stretch.range);
    let ignored = pass.ignored.clone();
    let shown = Shown {
        filter: wanted,
        user: request.user_nid,
        changes: &stretch.room.changes,
        ignored: &ignored,
    };
    let mut builder = Builder::new(shown, place);
    if !filter::accepts_room_in(wanted, &stretch.room.info.id) {
        builder.note_unread();
        return Ok(builder.finish());
    }
    let mut range = stretch.range;
    // Mostly nothing is filtered out: one read of just enough then makes the timeline.
    let mut count = (limit + 1).min(READ);
    loop {
        let (entries, from) = newest(pass, stretch.room, range, count).await?;
        let exhausted = entries.len() < count;
        for (pos, event) in entries {
            range.up_to = pos - 1;
            match event {
                None => builder.offer_change(),
                Some(event) => {
                    if let ControlFlow::Break(()) = builder.offer(event) {
                        SOURCES.with(&[("from", from)]).increment(1);
                        return Ok(builder.finish());
                    }
                }
            }
        }
        if exhausted {
            SOURCES.with(&[("from", from)]).increment(1);
            if from == DATABASE {
                // Changes that no event shows are not read from there: the state tells them.
                builder.note_unread();
            }
            return Ok(builder.finish());
        }
        count = READ;
    }
}

const TAIL: &str = "tail";
const DATABASE: &str = "database";

/// Entries of a room, newest first: position, and the event unless it is another change. Also where
/// they came from.
type Newest = (Vec<(Position, Option<Arc<RoomEvent>>)>, &'static str);

async fn newest(
    pass: &mut Pass<'_>,
    room: &UserRoom,
    range: Range,
    count: usize,
) -> Result<Newest, StorageError> {
    let engine = pass.engine;
    let info = &room.info;
    let Some(entries) = engine.tail.of_room(info.shard, info.nid, range, count) else {
        let limit = i64::try_from(count).unwrap_or(i64::MAX);
        let snapshot = pass.view.snapshot().await?;
        let records = stored::latest(snapshot, info.shard, &[info.nid], range, limit).await?;
        let events = records.into_iter().filter_map(|record| {
            let event = RoomEvent::from_record(record, info.version);
            Some((event.pos?, Some(Arc::new(event))))
        });
        return Ok((events.collect(), DATABASE));
    };
    let stale: Vec<_> = entries
        .iter()
        .filter_map(|(_, entry)| match entry {
            Entry::Event {
                event, stale: true, ..
            } => Some(event.nid),
            _ => None,
        })
        .collect();
    let fresh = if stale.is_empty() {
        std::collections::HashMap::new()
    } else {
        engine.rooms.events(&mut pass.view, info, stale).await?
    };
    let events = entries.into_iter().map(|(pos, entry)| match entry {
        Entry::Event { event, .. } => {
            let event = fresh.get(&event.nid).cloned().unwrap_or(event);
            (pos, Some(event))
        }
        Entry::RoomChange { .. } | Entry::AccountData { .. } => (pos, None),
    });
    Ok((events.collect(), TAIL))
}

/// The summary, if it may have changed.
async fn summary(
    pass: &mut Pass<'_>,
    stretch: &Stretch<'_>,
    timeline: &Timeline,
) -> Result<Option<Summary>, StorageError> {
    let changed = stretch.base == Base::Whole || timeline.summary_changed || timeline.limited;
    if !changed || !is_joined(pass, stretch.room) {
        return Ok(None);
    }
    let engine = pass.engine;
    let user_id = &pass.request.user_id;
    let info = &stretch.room.info;
    summary::read(&engine.rooms, &mut pass.view, info, user_id)
        .await
        .map(Some)
}
