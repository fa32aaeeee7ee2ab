//! The handle: who makes a request, and what is stored about accounts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ganglion_cluster::Follower;
use ganglion_model::{AccessToken, Clock, MatrixError, Shard, UserNid};
use ganglion_push_rules as push_rules;
use ganglion_storage::accounts::{
    self as rows, AccountRecord, DeviceRecord, TokenRecord, TokenStage,
};
use ganglion_storage::{Barrier, Database, StorageError, intern};
use ganglion_telemetry::metrics::Counter;
use ruma::push::Ruleset;
use ruma::{DeviceId, OwnedUserId, RoomId, UserId};
use serde_json::Value;

use crate::tokens::{Identity, Known, TokenCache, UserKind};

static LOOKUPS: Counter = Counter::new(
    "ganglion_accounts_token_lookups_total",
    "Access tokens looked up, by where: memory, database, behind (the log was not applied in time).",
);

/// What the handle is made of.
pub struct Parts {
    /// The pools.
    pub db: Database,
    /// The follower that also applies the user shards to `tokens`.
    pub follower: Follower,
    /// The tokens of this process.
    pub tokens: Arc<TokenCache>,
    /// Wall-clock time.
    pub clock: Clock,
    /// How long a request waits for the follower before it asks the database.
    pub patience: Duration,
}

/// Reads accounts. A clone is the same handle.
#[derive(Clone)]
pub struct Accounts(Arc<Parts>);

/// One statement behind the barrier; a replica that cancels it is not asked again.
macro_rules! read {
    ($self:ident, $barrier:expr, |$connection:ident| $query:expr) => {{
        let snapshot = $self.0.db.read($barrier).await.map_err(storage_error)?;
        let first = {
            let $connection = &*snapshot;
            $query.await
        };
        match first {
            Ok(found) => found,
            Err(StorageError::Cancelled) => {
                let primary = $self.0.db.primary().await.map_err(storage_error)?;
                let $connection = &primary;
                $query.await.map_err(storage_error)?
            }
            Err(error) => return Err(storage_error(error)),
        }
    }};
}

impl Accounts {
    /// The handle.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

    /// Who holds an access token, as of the barrier.
    ///
    /// # Errors
    /// 401 `M_UNKNOWN_TOKEN` if nobody does, with `soft_logout` if the token has only expired or has
    /// been replaced by a refresh; 503 if the database is away.
    pub async fn authenticate(
        &self,
        barrier: &Barrier,
        token: &str,
    ) -> Result<Identity, MatrixError> {
        let hash = AccessToken::hash_of(token);
        if let Some(known) = self.0.tokens.get(&hash)
            && self.still_holds(&known, barrier).await
        {
            return self.unexpired(known.identity.clone(), known.expires_at);
        }
        LOOKUPS.with(&[("in", "database")]).increment(1);
        let era = self.0.tokens.era();
        let record =
            read!(self, barrier, |c| rows::token(c, &hash)).ok_or_else(|| unknown_token(false))?;
        let identity = identity(&record)?;
        if identity.first_use {
            // Not to be remembered: its use is about to change what is stored.
            return self.unexpired(identity, record.expires_at);
        }
        let shard = Shard::of_user(&identity.user_id);
        let known = Known {
            identity: identity.clone(),
            shard,
            expires_at: record.expires_at,
            read_at: barrier.heads.get(shard),
            era,
        };
        self.0.tokens.insert(hash, known);
        self.unexpired(identity, record.expires_at)
    }

    async fn still_holds(&self, known: &Known, barrier: &Barrier) -> bool {
        let head = barrier.heads.get(known.shard);
        if !self
            .0
            .follower
            .reached(known.shard, head, self.0.patience)
            .await
        {
            LOOKUPS.with(&[("in", "behind")]).increment(1);
            return false;
        }
        let holds = self.0.tokens.holds(known);
        if holds {
            LOOKUPS.with(&[("in", "memory")]).increment(1);
        }
        holds
    }

    fn unexpired(
        &self,
        identity: Identity,
        expires_at: Option<i64>,
    ) -> Result<Identity, MatrixError> {
        match expires_at {
            Some(end) if end <= self.0.clock.now_ms() => Err(unknown_token(true)),
            _ => Ok(identity),
        }
    }

    /// The account of a user; `None` if there is none on this server.
    ///
    /// # Errors
    /// 503 if the database is away.
    pub async fn account(
        &self,
        barrier: &Barrier,
        user: &UserId,
    ) -> Result<Option<AccountRecord>, MatrixError> {
        Ok(read!(self, barrier, |c| rows::account(c, user.as_str())))
    }

    /// All devices of a user, oldest first.
    ///
    /// # Errors
    /// 503 if the database is away.
    pub async fn devices(
        &self,
        barrier: &Barrier,
        user: UserNid,
    ) -> Result<Vec<DeviceRecord>, MatrixError> {
        Ok(read!(self, barrier, |c| rows::devices_of(c, user)))
    }

    /// Whose a refresh token is.
    ///
    /// # Errors
    /// 401 `M_UNKNOWN_TOKEN` if nobody has it; 503 if the database is away.
    pub async fn refresh_owner(
        &self,
        barrier: &Barrier,
        token_hash: &[u8; 32],
    ) -> Result<OwnedUserId, MatrixError> {
        let owner = read!(self, barrier, |c| rows::refresh_owner(c, token_hash));
        stored_user(&owner.ok_or_else(|| unknown_token(false))?)
    }

    /// Whose a login token is; `None` if nobody has it, or no more.
    ///
    /// # Errors
    /// 503 if the database is away.
    pub async fn login_token_owner(
        &self,
        barrier: &Barrier,
        token_hash: &[u8; 32],
    ) -> Result<Option<OwnedUserId>, MatrixError> {
        let now_ms = self.0.clock.now_ms();
        let owner = read!(self, barrier, |c| rows::login_token_owner(
            c, token_hash, now_ms
        ));
        owner.as_deref().map(stored_user).transpose()
    }

    /// Whether an account can be made with a registration token.
    ///
    /// # Errors
    /// 503 if the database is away.
    pub async fn registration_token_is_valid(
        &self,
        barrier: &Barrier,
        token: &str,
    ) -> Result<bool, MatrixError> {
        let wanted = [token.to_owned()];
        let found = read!(self, barrier, |c| rows::registration_tokens(c, &wanted));
        Ok(found
            .get(token)
            .is_some_and(|record| record.is_valid(self.0.clock.now_ms())))
    }

    /// All profile fields of a user; `None` if there is no such account, or no more.
    ///
    /// # Errors
    /// 503 if the database is away.
    pub async fn profile(
        &self,
        barrier: &Barrier,
        user: &UserId,
    ) -> Result<Option<BTreeMap<String, Value>>, MatrixError> {
        let account = self.account(barrier, user).await?;
        let Some(account) = account.filter(|account| !account.deactivated) else {
            return Ok(None);
        };
        let wanted = [account.user_nid];
        let fields = read!(self, barrier, |c| rows::profiles(c, &wanted));
        let mut profile = BTreeMap::new();
        for (_, field, value) in fields {
            let value = serde_json::from_slice(&value).map_err(|error| {
                tracing::error!(error = %error, user.id = %user, field, "profiles.value is no JSON");
                MatrixError::internal()
            })?;
            profile.insert(field, value);
        }
        Ok(Some(profile))
    }

    /// The user's `displayname` and `avatar_url`, those that are set, as member events carry them.
    ///
    /// # Errors
    /// 503 if the database is away.
    pub async fn member_profile(
        &self,
        barrier: &Barrier,
        user: &UserId,
    ) -> Result<Vec<(String, String)>, MatrixError> {
        let mut profile = self.profile(barrier, user).await?.unwrap_or_default();
        let mut fields = Vec::with_capacity(2);
        for field in ["avatar_url", "displayname"] {
            if let Some(Value::String(value)) = profile.remove(field) {
                fields.push((field.to_owned(), value));
            }
        }
        Ok(fields)
    }

    /// One piece of account data, a JSON object; `room` is `None` for the global one.
    ///
    /// # Errors
    /// 503 if the database is away.
    pub async fn account_data(
        &self,
        barrier: &Barrier,
        (user, nid): (&UserId, UserNid),
        room: Option<&RoomId>,
        data_type: &str,
    ) -> Result<Option<Vec<u8>>, MatrixError> {
        let room = match room {
            Some(room) => match read!(self, barrier, |c| intern::find_room(c, room.as_str())) {
                Some(row) => Some(row.room_nid),
                None => return Ok(None),
            },
            None => None,
        };
        let shard = Shard::of_user(user);
        Ok(read!(self, barrier, |c| rows::account_data(
            c, shard, nid, room, data_type
        )))
    }

    /// The user's push rules.
    ///
    /// # Errors
    /// 503 if the database is away.
    pub async fn push_rules(
        &self,
        barrier: &Barrier,
        (user, nid): (&UserId, UserNid),
    ) -> Result<Ruleset, MatrixError> {
        let stored = self
            .account_data(barrier, (user, nid), None, push_rules::TYPE)
            .await?;
        Ok(push_rules::rules(stored.as_deref(), user))
    }

    /// The body of a filter; `None` if the user has none of that id.
    ///
    /// # Errors
    /// 503 if the database is away.
    pub async fn filter(
        &self,
        barrier: &Barrier,
        user: UserNid,
        filter_id: &str,
    ) -> Result<Option<Vec<u8>>, MatrixError> {
        Ok(read!(self, barrier, |c| rows::filter(c, user, filter_id)))
    }
}

fn stored_user(user_id: &str) -> Result<OwnedUserId, MatrixError> {
    UserId::parse(user_id).map_err(|_invalid| {
        tracing::error!(user.id = user_id, "users.user_id is not one");
        MatrixError::internal()
    })
}

fn identity(record: &TokenRecord) -> Result<Identity, MatrixError> {
    let broken = |what: &str| {
        tracing::error!(user.id = %record.user_id, "{what} is not one");
        MatrixError::internal()
    };
    Ok(Identity {
        user_id: UserId::parse(&record.user_id).map_err(|_invalid| broken("users.user_id"))?,
        user_nid: record.user_nid,
        device_id: <&DeviceId>::from(record.device_id.as_str()).to_owned(),
        kind: UserKind::from_i16(record.kind).ok_or_else(|| broken("accounts.kind"))?,
        locked: record.locked,
        suspended: record.suspended,
        first_use: record.stage == TokenStage::Next,
    })
}

/// `soft`: the device is still there, and a refresh or a login goes on with it.
fn unknown_token(soft: bool) -> MatrixError {
    MatrixError {
        extra: Some(format!(r#"{{"soft_logout":{soft}}}"#)),
        ..MatrixError::new(401, "M_UNKNOWN_TOKEN", "the access token is not known")
    }
}

/// What a client is told when the database does not answer a read; what is our fault is logged.
#[must_use]
pub fn storage_error(error: StorageError) -> MatrixError {
    if error.is_transient() {
        tracing::warn!(error = %error, "a read failed");
        return MatrixError::unavailable("the database is not available");
    }
    if error.is_nul_in_text() {
        return MatrixError::invalid_param("a NUL is in no identifier");
    }
    tracing::error!(error = %error, "a read failed");
    MatrixError::internal()
}
