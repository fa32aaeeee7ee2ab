//! How often who may make which request (`[rate_limits]`): by the endpoint's class in
//! `routes::rules`, per client address without an access token, else per user, and per room. What a
//! room's rate has lost to a request that is refused is given back: who may not do a thing in a room
//! keeps nobody else from it.

use std::slice;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use ganglion_accounts::storage_error;
use ganglion_cluster::Done;
use ganglion_cluster::rates::{TooOften, Wanted};
use ganglion_config::Rate;
use ganglion_http_kit::{ApiError, ClientAddress, path_arguments};
use ganglion_model::{CommandId, MatrixError, Shard};
use ganglion_storage::batch;
use http::Method;
use http::request::Parts;
use ruma::{OwnedEventId, OwnedRoomId, RoomId, UserId};
use serde::Deserialize;

use crate::caller::Caller;
use crate::routes::rules::{Class, Rules, find};
use crate::routes::{redaction_id, sending_id};
use crate::state::AppState;

/// The rules of a request's endpoint; none for what is no endpoint.
pub(crate) fn rules(app: &AppState, parts: &Parts) -> Option<Rules> {
    let path = parts.extensions.get::<MatchedPath>()?;
    find(&app.rules, &parts.method, path.as_str())
}

/// What a request has taken of its rooms' rates.
#[derive(Clone, Default)]
pub(crate) struct RoomParts(Arc<Mutex<Vec<Wanted>>>);

impl RoomParts {
    /// Those of a request, which [`counted`] gives back if it is refused.
    pub(crate) fn of(parts: &Parts) -> Self {
        parts.extensions.get().cloned().unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Wanted>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gives the rooms' parts back when it is dropped, also when the client goes away.
struct GiveBack {
    app: AppState,
    parts: RoomParts,
}

impl Drop for GiveBack {
    fn drop(&mut self) {
        self.app.rates.give_back(&self.parts.lock());
    }
}

/// Counts requests to endpoints that need no access token, by client address; and sees to it that
/// rooms' rates count only what is done.
pub(crate) async fn counted(State(app): State<AppState>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let class = rules(&app, &parts).and_then(|rules| rules.class);
    let counted = match class {
        Some(class @ (Class::Open | Class::Login | Class::Register)) => {
            of_address(&app, &parts, class)
        }
        Some(Class::Send | Class::Join | Class::Invite) => {
            let given_back = GiveBack {
                app,
                parts: RoomParts::default(),
            };
            parts.extensions.insert(given_back.parts.clone());
            let response = next.run(Request::from_parts(parts, body)).await;
            if response.status().is_success() {
                given_back.parts.lock().clear();
            }
            return response;
        }
        _ => Ok(()),
    };
    match counted {
        Ok(()) => next.run(Request::from_parts(parts, body)).await,
        Err(error) => ApiError(error).into_response(),
    }
}

/// Counts a request of somebody who is known by their address only.
pub(crate) fn anonymous(app: &AppState, parts: &Parts) -> Result<(), MatrixError> {
    match rules(app, parts).and_then(|rules| rules.class) {
        // Counted already.
        None | Some(Class::Open | Class::Login | Class::Register) => Ok(()),
        Some(_) => of_address(app, parts, Class::Open),
    }
}

fn of_address(app: &AppState, parts: &Parts, class: Class) -> Result<(), MatrixError> {
    let Some(ClientAddress(address)) = parts.extensions.get().copied() else {
        return Ok(());
    };
    let limits = &app.config.rate_limits;
    let (what, rate) = match class {
        Class::Login => ("login", limits.login),
        Class::Register => ("register", limits.register),
        _ => ("open", limits.open),
    };
    take(app, &[wanted(what, address.to_string(), rate, 1)])
}

/// Counts a request of a caller. A send or a redaction beyond the rate that was done already does
/// nothing: the caller then knows its event, which is the answer.
pub(crate) async fn by_caller(
    app: &AppState,
    parts: &Parts,
    caller: &mut Caller,
    class: Class,
) -> Result<(), MatrixError> {
    // The room is the first placeholder of all paths that count for one.
    let arguments = path_arguments(&parts.extensions, &parts.uri).unwrap_or_default();
    let room = arguments.first().map(String::as_str);
    let Err(refused) = count(app, caller, class, room, 1) else {
        return Ok(());
    };
    caller.done = repeated(app, parts, caller, &arguments).await?;
    caller.done.is_some().then_some(()).ok_or(refused)
}

/// Counts member events that are set by other endpoints than those made for it: invites as invites,
/// joins and knocks as joins. `room` is not given where it is new.
///
/// # Errors
/// `M_LIMIT_EXCEEDED`.
pub(crate) fn by_membership<'a>(
    app: &AppState,
    caller: &Caller,
    room: Option<&RoomId>,
    contents: impl IntoIterator<Item = &'a [u8]>,
) -> Result<(), MatrixError> {
    let (mut invites, mut joins) = (0_u32, 0_u32);
    for content in contents {
        match class_of_member(content) {
            Some(Class::Invite) => invites = invites.saturating_add(1),
            Some(_) => joins = joins.saturating_add(1),
            None => {}
        }
    }
    let room = room.map(RoomId::as_str);
    for (class, times) in [(Class::Invite, invites), (Class::Join, joins)] {
        if times > 0 {
            count(app, caller, class, room, times)?;
        }
    }
    Ok(())
}

/// As what a member event with this content counts.
fn class_of_member(content: &[u8]) -> Option<Class> {
    #[derive(Deserialize)]
    struct Content<'a> {
        #[serde(borrow)]
        membership: std::borrow::Cow<'a, str>,
    }
    let content: Content<'_> = serde_json::from_slice(content).ok()?;
    match content.membership.as_ref() {
        "invite" => Some(Class::Invite),
        "join" | "knock" => Some(Class::Join),
        _ => None,
    }
}

/// The user's part is spent even if the room then refuses: to try is not free.
fn count(
    app: &AppState,
    caller: &Caller,
    class: Class,
    room: Option<&str>,
    times: u32,
) -> Result<(), MatrixError> {
    if !app.config.rate_limits.enabled || is_exempt(app, &caller.user_id) {
        return Ok(());
    }
    let Some((what, rate)) = of_user(app, class) else {
        return Ok(());
    };
    take(
        app,
        &[wanted(what, caller.user_id.to_string(), rate, times)],
    )?;
    if let (Some((what, rate)), Some(room)) = (of_room(app, class), room) {
        let part = wanted(what, room.to_owned(), rate, times);
        take(app, slice::from_ref(&part))?;
        caller.room_parts.lock().push(part);
    }
    Ok(())
}

/// A class's key and rate for the user; none if it is counted by address.
fn of_user(app: &AppState, class: Class) -> Option<(&'static str, Rate)> {
    let limits = &app.config.rate_limits;
    Some(match class {
        Class::Open | Class::Login | Class::Register => return None,
        Class::Read => ("read", limits.read),
        Class::Write => ("write", limits.write),
        Class::Ephemeral => ("ephemeral", limits.ephemeral),
        Class::Send => ("send", limits.send),
        Class::Join => ("join", limits.join),
        Class::Invite => ("invite", limits.invite),
        Class::CreateRoom => ("create_room", limits.create_room),
        Class::Report => ("report", limits.report),
        Class::LoginToken => ("login_token", limits.login_token),
    })
}

/// The same for the room.
fn of_room(app: &AppState, class: Class) -> Option<(&'static str, Rate)> {
    let limits = &app.config.rate_limits;
    match class {
        Class::Send => Some(("send_in_room", limits.send_in_room)),
        Class::Join => Some(("join_in_room", limits.join_in_room)),
        Class::Invite => Some(("invite_in_room", limits.invite_in_room)),
        _ => None,
    }
}

/// The event of a send or a redaction that is done under its transaction id. To look for it is
/// counted, too.
async fn repeated(
    app: &AppState,
    parts: &Parts,
    caller: &Caller,
    arguments: &[String],
) -> Result<Option<OwnedEventId>, MatrixError> {
    let Some((room_id, id)) = repeatable(parts, caller, arguments) else {
        return Ok(None);
    };
    let rate = app.config.rate_limits.repeat;
    let look_up = wanted("repeat", caller.user_id.to_string(), rate, 1);
    if take(app, &[look_up]).is_err() {
        return Ok(None);
    }
    let snapshot = app.db.read(&caller.barrier).await.map_err(storage_error)?;
    let found = batch::find_commands(&snapshot, Shard::of_room(&room_id), &[id]).await;
    let Some((_, reply)) = found.map_err(storage_error)?.pop() else {
        return Ok(None);
    };
    Ok(Done::stored(&reply)?.event_id)
}

/// The command of a request with a transaction id.
fn repeatable(
    parts: &Parts,
    caller: &Caller,
    arguments: &[String],
) -> Option<(OwnedRoomId, CommandId)> {
    let path = parts.extensions.get::<MatchedPath>()?.as_str();
    let [room, middle, txn_id] = arguments else {
        return None;
    };
    let id = if parts.method != Method::PUT {
        return None;
    } else if path.contains("/send/") {
        sending_id(caller, room, middle, txn_id)
    } else if path.contains("/redact/") {
        redaction_id(caller, room, middle, txn_id)
    } else {
        return None;
    };
    Some((RoomId::parse(room).ok()?, id))
}

/// A check of an account's password, which is counted as a wrong one until it proves right.
pub(crate) struct PasswordCheck(Vec<Wanted>);

impl PasswordCheck {
    /// Of somebody who logs in. Wrong passwords from one address lock out nobody at another, unless
    /// they come from very many.
    ///
    /// # Errors
    /// `M_LIMIT_EXCEEDED` if it was checked too often, or wrong too often.
    pub(crate) fn of_login(
        app: &AppState,
        user: &UserId,
        address: Option<ClientAddress>,
    ) -> Result<Self, MatrixError> {
        let limits = &app.config.rate_limits;
        let here = address.map_or_else(String::new, |address| address.0.to_string());
        let here = format!("{user} {here}");
        let any = wanted("login_of_account", here.clone(), limits.login_of_account, 1);
        let rate = limits.failed_login_of_account;
        let failed = wanted("failed_login_of_account", here, rate, 1);
        let rate = limits.failed_login_of_account_anywhere;
        let key = "failed_login_of_account_anywhere";
        let anywhere = wanted(key, user.to_string(), rate, 1);
        Self::begin(app, user, Some(any), vec![failed, anywhere])
    }

    /// Of a caller, who has a rate of their own: no login that fails is counted in it.
    ///
    /// # Errors
    /// `M_LIMIT_EXCEEDED` if it was wrong too often.
    pub(crate) fn of_caller(app: &AppState, caller: &Caller) -> Result<Self, MatrixError> {
        let device = format!("{} {}", caller.user_id, caller.device_id);
        let rate = app.config.rate_limits.failed_password_of_device;
        let failed = wanted("failed_password_of_device", device, rate, 1);
        Self::begin(app, &caller.user_id, None, vec![failed])
    }

    fn begin(
        app: &AppState,
        user: &UserId,
        any: Option<Wanted>,
        failed: Vec<Wanted>,
    ) -> Result<Self, MatrixError> {
        if !app.config.rate_limits.enabled || is_exempt(app, user) {
            return Ok(Self(Vec::new()));
        }
        let all: Vec<Wanted> = any.into_iter().chain(failed.iter().cloned()).collect();
        take(app, &all)?;
        Ok(Self(failed))
    }

    /// The password was right.
    pub(crate) fn passed(self, app: &AppState) {
        app.rates.give_back(&self.0);
    }
}

fn is_exempt(app: &AppState, user: &UserId) -> bool {
    let exempt = &app.config.rate_limits.exempt_users;
    exempt.iter().any(|id| user == id)
}

fn wanted(what: &'static str, of: String, rate: Rate, times: u32) -> Wanted {
    Wanted {
        what,
        of,
        rate,
        times,
    }
}

fn take(app: &AppState, wanted: &[Wanted]) -> Result<(), MatrixError> {
    if !app.config.rate_limits.enabled {
        return Ok(());
    }
    let taken = app.rates.take(wanted);
    taken.map_err(|TooOften { retry_after_ms }| MatrixError::limit_exceeded(retry_after_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn member_events_count_as_what_they_do() {
        let class = |content: &str| class_of_member(content.as_bytes());
        assert_eq!(class(r#"{"membership":"invite"}"#), Some(Class::Invite));
        assert_eq!(
            class(r#"{"membership":"\u0069nvite"}"#),
            Some(Class::Invite)
        );
        assert_eq!(class(r#"{"membership":"join"}"#), Some(Class::Join));
        assert_eq!(class(r#"{"membership":"knock","a":[]}"#), Some(Class::Join));
        assert_eq!(class(r#"{"membership":"leave"}"#), None);
        assert_eq!(class(r#"{"membership":1}"#), None);
        assert_eq!(class("{}"), None);
    }
}
