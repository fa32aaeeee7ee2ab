//! Who makes a request, and from when on its reads must see.

use axum::extract::FromRequestParts;
use ganglion_accounts::{Identity, storage_error};
use ganglion_http_kit::{ApiError, bearer_token};
use ganglion_model::{AccessToken, CommandId, MatrixError, Shard, UserNid};
use ganglion_proto::persister::UseToken;
use ganglion_proto::persister::user_command::Command;
use ganglion_rooms::{View, Viewer};
use ganglion_storage::Barrier;
use http::request::Parts;
use ruma::{OwnedDeviceId, OwnedUserId, UserId};

use crate::state::AppState;

/// The holder of the request's access token, at the moment the request came.
pub(crate) struct Caller {
    pub(crate) user_id: OwnedUserId,
    pub(crate) user_nid: UserNid,
    pub(crate) device_id: OwnedDeviceId,
    /// All that was answered before the request came lies at or below it.
    pub(crate) barrier: Barrier,
}

impl FromRequestParts<AppState> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> Result<Self, ApiError> {
        let token = bearer_token(parts)?;
        let barrier = app.db.barrier().await.map_err(storage_error)?;
        let Identity {
            user_id,
            user_nid,
            device_id,
            kind: _,
            first_use,
        } = app.accounts.authenticate(&barrier, &token).await?;
        if first_use {
            // The tokens before it end before anything is done with this one.
            let token_hash = AccessToken::hash_of(&token).to_vec().into();
            let command = Command::UseToken(UseToken { token_hash });
            app.commands
                .user(&user_id, CommandId::random(), command)
                .await?;
        }
        Ok(Self {
            user_id,
            user_nid,
            device_id,
            barrier,
        })
    }
}

/// The same for an endpoint that can be called without an access token; a token that is given must
/// be valid.
pub(crate) struct MaybeCaller(pub(crate) Option<Caller>);

impl FromRequestParts<AppState> for MaybeCaller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> Result<Self, ApiError> {
        if bearer_token(parts).is_err() {
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

    /// The path of what belongs to one user names that user.
    pub(crate) fn must_be(&self, user: &UserId) -> Result<(), MatrixError> {
        if self.user_id == user {
            return Ok(());
        }
        Err(MatrixError::forbidden("this belongs to another user"))
    }
}
