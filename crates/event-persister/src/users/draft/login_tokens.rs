//! Login tokens: another device of a user logs in with one, once.

use bytes::Bytes;
use ganglion_cluster::owner::Outcome;
use ganglion_model::{MatrixError, UserNid};
use ganglion_proto::persister::CreateLoginToken;
use ganglion_storage::accounts::LoginTokenRecord;
use ganglion_storage::batch::LoginTokenRow;

use super::Draft;
use super::devices::hash;

impl Draft {
    pub(super) fn create_login_token(
        &mut self,
        user: UserNid,
        create: &CreateLoginToken,
    ) -> Result<Outcome, MatrixError> {
        let token_hash = hash(&create.token_hash)?;
        let record = LoginTokenRecord {
            user_nid: user,
            expires_at: self.now_ms.saturating_add(create.lifetime_ms),
        };
        self.facts.login_tokens.insert(token_hash, record);
        self.rows.login_tokens.push(LoginTokenRow {
            token_hash,
            user_nid: user,
            expires_at: record.expires_at,
            created_at: self.now_ms,
        });
        Ok(self.done(String::new()))
    }

    /// Uses a token up; whether the login that it is for succeeds or not.
    pub(super) fn use_login_token(
        &mut self,
        user: UserNid,
        token: &Bytes,
    ) -> Result<(), MatrixError> {
        let token_hash = hash(token)?;
        let now_ms = self.now_ms;
        let known = self.facts.login_tokens.get(&token_hash);
        known
            .filter(|record| record.user_nid == user && now_ms < record.expires_at)
            .ok_or_else(|| MatrixError::forbidden("the login token is not valid"))?;
        self.facts.login_tokens.remove(&token_hash);
        self.rows.used_login_tokens.push(token_hash);
        Ok(())
    }

    /// Ends all that a user has.
    pub(super) fn end_login_tokens(&mut self, user: UserNid) {
        self.facts
            .login_tokens
            .retain(|_, record| record.user_nid != user);
        self.rows.login_tokens.retain(|row| row.user_nid != user);
        self.rows.ended_login_tokens.push(user);
    }
}
