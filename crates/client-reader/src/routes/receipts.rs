//! Read receipts and read markers: commands to the owners of the room's and of the user's shard.

mod post;
mod read_markers;

use std::collections::{BTreeMap, BTreeSet};

use ganglion_accounts::storage_error;
use ganglion_http_kit::Routes;
use ganglion_model::{CommandId, MatrixError, Position};
use ganglion_proto::persister::room_command::Command;
use ganglion_proto::persister::user_command::Command as UserCommand;
use ganglion_proto::persister::{Receipt, SetAccountData, SetReceipts};
use ganglion_rooms::{Entered, View};
use ganglion_storage::receipts::ReceiptKind;
use ganglion_storage::relations;
use ruma::{EventId, OwnedEventId, RoomId};
use serde_json::json;

use super::room_reads::{no_event, visible_event};
use crate::caller::Caller;
use crate::state::AppState;

pub(crate) fn routes(routes: &mut Routes<AppState>) {
    routes.ruma::<ruma::api::client::receipt::create_receipt::v3::Request, _, _>(post::post);
    routes.ruma::<ruma::api::client::read_marker::set_read_marker::v3::Request, _, _>(
        read_markers::post,
    );
}

/// The thread of the events that are in none.
const MAIN: &str = "main";

/// What a caller has read.
#[derive(Debug, Default)]
struct Marks {
    /// Receipts: kind, event, and thread, if it is not unthreaded.
    receipts: Vec<(ReceiptKind, OwnedEventId, Option<String>)>,
    /// Where the fully read marker goes.
    fully_read: Option<OwnedEventId>,
}

/// Moves the caller's receipts and marker in a room. All events are checked before anything is written.
///
/// # Errors
/// 403 for who is not in the room, 404 for an event that the caller cannot see there, 400 for one that
/// is not in the receipt's thread; else as [`ganglion_cluster::Commands::room`].
async fn mark(
    app: &AppState,
    caller: &Caller,
    room_id: &RoomId,
    marks: Marks,
) -> Result<(), MatrixError> {
    let mut view = caller.view(app);
    let entered = app
        .rooms
        .enter(&mut view, room_id.as_str(), caller.viewer(app))
        .await
        .map_err(storage_error)?
        .filter(Entered::is_joined)
        .ok_or_else(|| MatrixError::forbidden("you are not in this room"))?;
    let named = marks.receipts.iter().map(|(_, event_id, _)| event_id);
    let named: BTreeSet<&OwnedEventId> = named.chain(&marks.fully_read).collect();
    let mut places = BTreeMap::new();
    for event_id in named {
        let place = place(caller, &mut view, &entered, event_id).await?;
        places.insert(event_id.clone(), place);
    }
    let mut receipts = Vec::with_capacity(marks.receipts.len());
    for (kind, event_id, thread_id) in marks.receipts {
        if let Some(thread_id) = &thread_id {
            must_be_in_thread(&mut view, &entered, &event_id, thread_id).await?;
        }
        receipts.push(Receipt {
            kind: kind.number(),
            thread_id,
            event_pos: *places.get(&event_id).ok_or_else(no_event)?,
            event_id: event_id.into(),
        });
    }
    drop(view);
    if !receipts.is_empty() {
        let command = Command::SetReceipts(SetReceipts {
            user_id: caller.user_id.to_string(),
            receipts,
        });
        app.commands
            .room(room_id, CommandId::random(), command)
            .await?;
    }
    if let Some(event_id) = marks.fully_read {
        let content = json!({ "event_id": event_id }).to_string();
        let command = UserCommand::SetAccountData(SetAccountData {
            room_id: Some(room_id.to_string()),
            r#type: "m.fully_read".to_owned(),
            content: content.into_bytes().into(),
        });
        app.commands
            .user(&caller.user_id, CommandId::random(), command)
            .await?;
    }
    Ok(())
}

/// The position of an event that the caller may see.
async fn place(
    caller: &Caller,
    view: &mut View,
    entered: &Entered,
    event_id: &EventId,
) -> Result<Position, MatrixError> {
    // PostgreSQL cannot even be asked for one.
    if event_id.as_str().contains('\0') {
        return Err(no_event());
    }
    let event = visible_event(caller, view, entered, event_id).await?;
    event.pos.ok_or_else(no_event)
}

/// A receipt of a thread is for an event of it (client-server API, "Threaded read receipts"). A thread's
/// root is in the main timeline; clients acknowledge it in its thread, too, while that has no reply yet.
async fn must_be_in_thread(
    view: &mut View,
    entered: &Entered,
    event_id: &EventId,
    thread_id: &str,
) -> Result<(), MatrixError> {
    let room = &entered.room;
    let snapshot = view.snapshot().await.map_err(storage_error)?;
    let found = relations::thread_of(snapshot, (room.shard, room.nid), event_id.as_str())
        .await
        .map_err(storage_error)?;
    let is_in = match found {
        Some(root) => root == thread_id,
        None => thread_id == MAIN || thread_id == event_id.as_str(),
    };
    if is_in {
        return Ok(());
    }
    Err(MatrixError::invalid_param(
        "the event is not in the thread that `thread_id` names",
    ))
}
