//! Who makes a request, and from when on its reads must see.

use axum::extract::FromRequestParts;
use ganglion_accounts::{Identity, UserKind, storage_error};
use ganglion_http_kit::{ApiError, bearer_token};
use ganglion_model::{AccessToken, CommandId, MatrixError, Shard, UserNid};
use ganglion_proto::persister::UseToken;
use ganglion_proto::persister::user_command::Command;
use ganglion_rooms::{View, Viewer};
use ganglion_storage::Barrier;
use ganglion_sync::Who;
use http::request::Parts;
use ruma::{OwnedDeviceId, OwnedEventId, OwnedUserId, UserId};

use crate::limits::{self, RoomParts};
use crate::routes::rules::Suspended;
use crate::state::AppState;

/// The holder of the request's access token, at the moment the request came.
pub(crate) struct Caller {
    pub(crate) user_id: OwnedUserId,
    pub(crate) user_nid: UserNid,
    pub(crate) device_id: OwnedDeviceId,
    pub(crate) kind: UserKind,
    /// The account is suspended, which the endpoint's rules have not refused.
    pub(crate) suspended: bool,
    /// The event of a send beyond the rate that is done already: it is the answer.
    pub(crate) done: Option<OwnedEventId>,
    /// What the request has taken of rooms' rates.
    pub(crate) room_parts: RoomParts,
    /// All that was answered before the request came lies at or below it.
    pub(crate) barrier: Barrier,
}

impl FromRequestParts<AppState> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> Result<Self, ApiError> {
        let (mut caller, identity) = Self::known(parts, app).await?;
        if identity.locked {
            return Err(MatrixError::user_locked().into());
        }
        caller.use_token(parts, app, &identity).await?;
        let rules = limits::rules(app, parts);
        if let Some(class) = rules.and_then(|rules| rules.class) {
            limits::by_caller(app, parts, &mut caller, class).await?;
        }
        if caller.suspended && rules.is_some_and(|r| r.suspended == Suspended::Refused) {
            return Err(MatrixError::user_suspended().into());
        }
        Ok(caller)
    }
}

/// A caller who ends sessions: a locked account may (client-server API, "Account locking").
pub(crate) struct LeavingCaller(pub(crate) Caller);

impl FromRequestParts<AppState> for LeavingCaller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> Result<Self, ApiError> {
        let (caller, identity) = Caller::known(parts, app).await?;
        caller.use_token(parts, app, &identity).await?;
        Ok(Self(caller))
    }
}

impl Caller {
    /// Whose the request's token is.
    async fn known(parts: &Parts, app: &AppState) -> Result<(Self, Identity), ApiError> {
        let token = bearer_token(parts)?;
        let barrier = app.db.barrier().await.map_err(storage_error)?;
        let identity = app.accounts.authenticate(&barrier, &token).await?;
        let caller = Self {
            user_id: identity.user_id.clone(),
            user_nid: identity.user_nid,
            device_id: identity.device_id.clone(),
            kind: identity.kind,
            suspended: identity.suspended,
            done: None,
            room_parts: RoomParts::of(parts),
            barrier,
        };
        Ok((caller, identity))
    }

    /// The tokens before the request's end before anything is done with it.
    async fn use_token(
        &self,
        parts: &Parts,
        app: &AppState,
        identity: &Identity,
    ) -> Result<(), ApiError> {
        if !identity.first_use {
            return Ok(());
        }
        let token_hash = AccessToken::hash_of(&bearer_token(parts)?).to_vec().into();
        let command = Command::UseToken(UseToken { token_hash });
        app.commands
            .user(&self.user_id, CommandId::random(), command)
            .await?;
        Ok(())
    }
}

/// The same for an endpoint that can be called without an access token; a token that is given must
/// be valid.
pub(crate) struct MaybeCaller(pub(crate) Option<Caller>);

impl FromRequestParts<AppState> for MaybeCaller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> Result<Self, ApiError> {
        if bearer_token(parts).is_err() {
            limits::anonymous(app, parts)?;
            return Ok(Self(None));
        }
        let caller = Caller::from_request_parts(parts, app).await?;
        Ok(Self(Some(caller)))
    }
}

impl MaybeCaller {
    /// The database as the caller, or anybody, must see it.
    pub(crate) fn view(&self, app: &AppState) -> View {
        match &self.0 {
            Some(caller) => caller.view(app),
            None => View::new(&app.db, None),
        }
    }
}

impl Caller {
    /// The database as the caller must see it.
    pub(crate) fn view(&self, app: &AppState) -> View {
        View::new(&app.db, Some(self.barrier.clone()))
    }

    /// For writing events.
    pub(crate) fn viewer(&self, app: &AppState) -> Viewer<'_> {
        Viewer {
            user_nid: self.user_nid,
            user_id: &self.user_id,
            device_id: Some(&self.device_id),
            now_ms: app.clock.now_ms(),
            own_log: self.barrier.heads.get(Shard::of_user(&self.user_id)),
        }
    }

    /// The device, for presence.
    pub(crate) fn who(&self) -> Who<'_> {
        Who {
            user_nid: self.user_nid,
            user_id: &self.user_id,
            device_id: &self.device_id,
        }
    }

    /// The path of what belongs to one user names that user.
    pub(crate) fn must_be(&self, user: &UserId) -> Result<(), MatrixError> {
        if self.user_id == user {
            return Ok(());
        }
        Err(MatrixError::forbidden("this belongs to another user"))
    }
}
