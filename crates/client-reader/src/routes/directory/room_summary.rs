//! `GET /_matrix/client/v1/room_summary/{roomIdOrAlias}`

use axum::extract::State;
use ganglion_accounts::storage_error;
use ganglion_http_kit::{ApiError, JsonBytes, Ruma};
use ganglion_model::{MatrixError, Membership};
use ganglion_rooms::{Summary, View};
use ganglion_storage::memberships;
use ruma::api::client::room::get_summary::v1::Request;
use serde_json::Value;

use crate::caller::{Caller, MaybeCaller};
use crate::routes::aliases::resolve;
use crate::state::AppState;

/// A room in a few words: for who is in it, invited or knocking, and for whoever could join, knock
/// or read it.
pub(crate) async fn get(
    State(app): State<AppState>,
    caller: MaybeCaller,
    Ruma(request): Ruma<Request>,
) -> Result<JsonBytes, ApiError> {
    // Who may not know of the room is told what is told of a room that is not there.
    let none = || MatrixError::not_found("no such room");
    let mut view = caller.view(&app);
    let room_id = resolve(&app, &mut view, request.room_id_or_alias).await?;
    let room = app.rooms.find(&mut view, room_id.as_str()).await;
    let room = room.map_err(storage_error)?.ok_or_else(none)?;
    let mut summaries = app
        .rooms
        .summaries(&mut view, vec![room])
        .await
        .map_err(storage_error)?;
    let summary = summaries.pop().ok_or_else(none)?;
    let membership = match &caller.0 {
        Some(caller) => Some(membership(&mut view, caller, &summary).await?),
        None => None,
    };
    if !is_open(&summary)
        && !is_inside(membership)
        && !may_join(&app, &mut view, caller.0.as_ref(), &summary).await?
    {
        return Err(none().into());
    }
    let mut body = summary.to_summary();
    if let Some(membership) = membership {
        body.insert("membership".to_owned(), Value::from(membership.as_str()));
    }
    Ok(JsonBytes(Value::Object(body).to_string().into_bytes()))
}

async fn membership(
    view: &mut View,
    caller: &Caller,
    summary: &Summary,
) -> Result<Membership, MatrixError> {
    let room = &summary.room;
    let snapshot = view.snapshot().await.map_err(storage_error)?;
    let changes = memberships::in_room(snapshot, room.shard, caller.user_nid, room.nid)
        .await
        .map_err(storage_error)?;
    Ok(changes
        .last()
        .map_or(Membership::Leave, |last| last.membership))
}

/// What everybody may know of.
fn is_open(summary: &Summary) -> bool {
    let rule = summary.join_rule.as_str();
    summary.world_readable || matches!(rule, "public" | "knock" | "knock_restricted")
}

fn is_inside(membership: Option<Membership>) -> bool {
    matches!(
        membership,
        Some(Membership::Join | Membership::Invite | Membership::Knock)
    )
}

async fn may_join(
    app: &AppState,
    view: &mut View,
    caller: Option<&Caller>,
    summary: &Summary,
) -> Result<bool, MatrixError> {
    let (Some(caller), Ok(room_id)) = (caller, ruma::RoomId::parse(&*summary.room.id)) else {
        return Ok(false);
    };
    app.rooms
        .join_rule_allows(view, &room_id, caller.user_nid)
        .await
        .map_err(storage_error)
}
