//! `GET /_matrix/client/v3/presence/{userId}/status`

use std::time::Duration;

use axum::extract::State;
use ganglion_accounts::storage_error;
use ganglion_http_kit::{ApiError, Ruma, RumaBody};
use ganglion_model::{MatrixError, UserNid};
use ganglion_storage::{accounts, memberships};
use ganglion_sync::PresenceNow;
use ganglion_sync::State as PresenceIs;
use ruma::api::client::presence::get_presence::v3::{Request, Response};
use ruma::presence::PresenceState;

use crate::caller::Caller;
use crate::state::AppState;

/// While Redis is away, what was written longer ago says nothing any more.
const FRESH_MS: i64 = 120_000;

/// The presence of the caller, or of who shares a room with the caller.
pub(crate) async fn get(
    State(app): State<AppState>,
    caller: Caller,
    Ruma(request): Ruma<Request>,
) -> Result<RumaBody<Response>, ApiError> {
    let forbidden = || MatrixError::forbidden("you share no room with this user");
    // Who is not known here and who shares no room are told apart by nobody.
    let account = app
        .accounts
        .account(&caller.barrier, &request.user_id)
        .await?;
    let user = account.ok_or_else(forbidden)?.user_nid;
    if user != caller.user_nid && !share_room(&app, &caller, user).await? {
        return Err(forbidden().into());
    }
    if !app.presence.is_enabled() {
        return Ok(RumaBody(Response::new(PresenceState::Offline)));
    }
    let now = match app.presence.of(user).filter(|_| !app.presence.is_away()) {
        Some(now) => now,
        None => kept(&app, &caller, user).await?,
    };
    let mut response = Response::new(match now.state {
        PresenceIs::Offline => PresenceState::Offline,
        PresenceIs::Unavailable => PresenceState::Unavailable,
        PresenceIs::Online => PresenceState::Online,
    });
    let ago = now.last_active_ago.and_then(|ago| u64::try_from(ago).ok());
    response.last_active_ago = ago.map(Duration::from_millis);
    response.status_msg = now.status_msg;
    response.currently_active = (now.state == PresenceIs::Online).then_some(now.currently_active);
    Ok(RumaBody(response))
}

async fn share_room(app: &AppState, caller: &Caller, user: UserNid) -> Result<bool, MatrixError> {
    let pair = (caller.user_nid, user);
    if app.sync.knows_shared_room(&caller.barrier, pair).await {
        return Ok(true);
    }
    let mut view = caller.view(app);
    let snapshot = view.snapshot().await.map_err(storage_error)?;
    memberships::share_room(snapshot, caller.user_nid, user)
        .await
        .map_err(storage_error)
}

/// What was written of a user who was not heard of lately: offline, unless nobody can be heard. Each
/// user has a presence: who was never there is offline, too.
async fn kept(app: &AppState, caller: &Caller, user: UserNid) -> Result<PresenceNow, MatrixError> {
    let mut view = caller.view(app);
    let snapshot = view.snapshot().await.map_err(storage_error)?;
    let found = accounts::presence(snapshot, &[user]).await;
    let Some(record) = found.map_err(storage_error)?.pop() else {
        return Ok(PresenceNow::default());
    };
    let now = app.clock.now_ms();
    let is_fresh = app.presence.is_away() && now - record.updated_at < FRESH_MS;
    let state = u32::try_from(record.state).unwrap_or(0);
    Ok(PresenceNow {
        state: PresenceIs::from_number(if is_fresh { state } else { 0 }),
        currently_active: false,
        last_active_ago: (record.last_active > 0).then(|| (now - record.last_active).max(0)),
        status_msg: record.status_msg,
    })
}
