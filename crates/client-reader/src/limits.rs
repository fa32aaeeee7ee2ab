//! How often who may make which request (`[rate_limits]`): by the endpoint's class in
//! `routes::rules`, per client address without an access token, else per user, and per room.

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use ganglion_accounts::storage_error;
use ganglion_cluster::rates::{TooOften, Wanted};
use ganglion_config::Rate;
use ganglion_http_kit::{ApiError, ClientAddress, path_arguments};
use ganglion_model::{MatrixError, Shard};
use ganglion_storage::batch;
use http::Method;
use http::request::Parts;
use ruma::{RoomId, UserId};

use crate::caller::Caller;
use crate::routes::rules::{Class, Rules};
use crate::routes::{redaction_id, sending_id};
use crate::state::AppState;

/// The rules of a request's endpoint; none for what is no endpoint.
pub(crate) fn rules(app: &AppState, parts: &Parts) -> Option<Rules> {
    let path = parts.extensions.get::<MatchedPath>()?;
    let key = (parts.method.clone(), path.as_str().to_owned());
    app.rules.get(&key).copied()
}

/// Counts requests to endpoints that need no access token, by client address.
pub(crate) async fn by_address(
    State(app): State<AppState>,
    request: Request,
    next: Next,
) -> Response {
    let (parts, body) = request.into_parts();
    let class = rules(&app, &parts).and_then(|rules| rules.class);
    let counted = match class {
        Some(class @ (Class::Open | Class::Login | Class::Register)) => {
            of_address(&app, &parts, class)
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
    take(app, &[wanted(what, address.to_string(), rate)])
}

/// Counts a request of a caller. A send or a redaction that was done already is let pass: its
/// repetition is answered, and does nothing.
pub(crate) async fn by_caller(
    app: &AppState,
    parts: &Parts,
    caller: &Caller,
    class: Class,
) -> Result<(), MatrixError> {
    if is_exempt(app, &caller.user_id) {
        return Ok(());
    }
    let limits = &app.config.rate_limits;
    let (what, rate, in_room) = match class {
        Class::Open | Class::Login | Class::Register => return Ok(()),
        Class::Read => ("read", limits.read, None),
        Class::Write => ("write", limits.write, None),
        Class::Send => (
            "send",
            limits.send,
            Some(("send_in_room", limits.send_in_room)),
        ),
        Class::Join => (
            "join",
            limits.join,
            Some(("join_in_room", limits.join_in_room)),
        ),
        Class::Invite => {
            let in_room = ("invite_in_room", limits.invite_in_room);
            ("invite", limits.invite, Some(in_room))
        }
        Class::CreateRoom => ("create_room", limits.create_room, None),
        Class::Report => ("report", limits.report, None),
        Class::LoginToken => ("login_token", limits.login_token, None),
    };
    let mut all = vec![wanted(what, caller.user_id.to_string(), rate)];
    // The room is the first placeholder of all these paths.
    let arguments = path_arguments(&parts.extensions, &parts.uri).unwrap_or_default();
    if let (Some((what, rate)), Some(room)) = (in_room, arguments.first()) {
        all.push(wanted(what, room.clone(), rate));
    }
    match take(app, &all) {
        Err(_) if class == Class::Send && is_done(app, parts, caller, &arguments).await? => Ok(()),
        counted => counted,
    }
}

/// Whether a send or a redaction with this transaction id is done.
async fn is_done(
    app: &AppState,
    parts: &Parts,
    caller: &Caller,
    arguments: &[String],
) -> Result<bool, MatrixError> {
    let path = parts.extensions.get::<MatchedPath>();
    let path = path.map_or("", MatchedPath::as_str);
    let [room, middle, txn_id] = arguments else {
        return Ok(false);
    };
    let id = if parts.method != Method::PUT {
        return Ok(false);
    } else if path.contains("/send/") {
        sending_id(caller, room, middle, txn_id)
    } else if path.contains("/redact/") {
        redaction_id(caller, room, middle, txn_id)
    } else {
        return Ok(false);
    };
    let Ok(room_id) = RoomId::parse(room) else {
        return Ok(false);
    };
    let snapshot = app.db.read(&caller.barrier).await.map_err(storage_error)?;
    let found = batch::find_commands(&snapshot, Shard::of_room(&room_id), &[id]).await;
    Ok(!found.map_err(storage_error)?.is_empty())
}

/// A check of an account's password, which is counted as a wrong one until it proves right.
pub(crate) struct PasswordCheck(Option<Wanted>);

impl PasswordCheck {
    /// # Errors
    /// `M_LIMIT_EXCEEDED` if it was checked too often, or wrong too often.
    pub(crate) fn begin(app: &AppState, user: &UserId) -> Result<Self, MatrixError> {
        if is_exempt(app, user) {
            return Ok(Self(None));
        }
        let limits = &app.config.rate_limits;
        let user = user.to_string();
        let any = wanted("login_of_account", user.clone(), limits.login_of_account);
        let rate = limits.failed_login_of_account;
        let failed = wanted("failed_login_of_account", user, rate);
        take(app, &[any, failed.clone()])?;
        Ok(Self(Some(failed)))
    }

    /// The password was right.
    pub(crate) fn passed(self, app: &AppState) {
        if let (Some(failed), true) = (self.0, app.config.rate_limits.enabled) {
            app.rates.give_back(&[failed]);
        }
    }
}

fn is_exempt(app: &AppState, user: &UserId) -> bool {
    let exempt = &app.config.rate_limits.exempt_users;
    exempt.iter().any(|id| user == id)
}

fn wanted(what: &'static str, of: String, rate: Rate) -> Wanted {
    Wanted { what, of, rate }
}

fn take(app: &AppState, wanted: &[Wanted]) -> Result<(), MatrixError> {
    if !app.config.rate_limits.enabled {
        return Ok(());
    }
    let taken = app.rates.take(wanted);
    taken.map_err(|TooOften { retry_after_ms }| MatrixError::limit_exceeded(retry_after_ms))
}
