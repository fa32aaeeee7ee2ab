//! User-interactive authentication, without memory: any instance continues what another began.
//!
//! Every flow offered so far has one stage, so a session need not remember which are completed.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ganglion_model::{MatrixError, ServerSecret};
use serde::Deserialize;
use serde_json::json;

/// How long a session may take.
const LIFETIME_MS: i64 = 15 * 60 * 1_000;
/// Bytes: when it ends, then random ones, then the authentication code.
const EXPIRY: usize = 8;
const RANDOM: usize = 12;
const CODE: usize = 16;

/// What a client submits as `auth`; the types known here have no other keys.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Attempt {
    /// The stage; absent to ask whether it was completed elsewhere.
    pub r#type: Option<String>,
    /// From an earlier answer.
    pub session: Option<String>,
    /// For `m.login.password`: who.
    pub identifier: Option<Identifier>,
    /// Deprecated form of `identifier`.
    pub user: Option<String>,
    /// For `m.login.password`.
    pub password: Option<String>,
    /// For `m.login.registration_token`.
    pub token: Option<String>,
}

/// Names a user (client-server API, "Identifier types").
#[derive(Debug, Clone, Deserialize)]
pub struct Identifier {
    /// `m.id.user` and so on.
    pub r#type: String,
    /// For `m.id.user`.
    pub user: Option<String>,
}

/// The one flow of an endpoint, whose one stage is to be gone through for one purpose.
pub struct Flow {
    sessions: Sessions,
    stage: &'static str,
    now_ms: i64,
}

impl Flow {
    /// `purpose` names the endpoint and all that a session must not be carried over to.
    #[must_use]
    pub fn new(secret: ServerSecret, purpose: &str, stage: &'static str, now_ms: i64) -> Self {
        Self {
            sessions: Sessions::new(secret, purpose),
            stage,
            now_ms,
        }
    }

    /// The attempt at the stage, which remains to be checked.
    ///
    /// # Errors
    /// 401 with the flow if there is none, or it is for something else.
    pub fn attempt(&self, auth: Option<Attempt>) -> Result<Attempt, MatrixError> {
        let Some(auth) = auth else {
            return Err(self.challenge(None, None));
        };
        // A client that knows the one stage need not ask for a session first.
        if auth.session.is_some() && self.live(&auth).is_none() {
            return Err(self.refused(
                &auth,
                "M_UNAUTHORIZED",
                "this session is not known, or is over",
            ));
        }
        match auth.r#type.as_deref() {
            Some(stage) if stage == self.stage => Ok(auth),
            Some(_) => Err(self.refused(&auth, "M_UNAUTHORIZED", "this is no stage of the flow")),
            None => Err(self.challenge(self.live(&auth), None)),
        }
    }

    /// 401: this attempt failed, another may be made.
    #[must_use]
    pub fn refused(&self, auth: &Attempt, errcode: &str, why: &str) -> MatrixError {
        self.challenge(self.live(auth), Some((errcode, why)))
    }

    fn live<'a>(&self, auth: &'a Attempt) -> Option<&'a str> {
        let session = auth.session.as_deref()?;
        self.sessions
            .is_live(session, self.now_ms)
            .then_some(session)
    }

    /// 401 with the flow to go through (client-server API, "User-Interactive Authentication API").
    fn challenge(&self, session: Option<&str>, error: Option<(&str, &str)>) -> MatrixError {
        let session = match session {
            Some(session) => session.to_owned(),
            None => self.sessions.begin(self.now_ms),
        };
        let body = json!({
            "flows": [{"stages": [self.stage]}],
            "params": {},
            "completed": [],
            "session": session,
        });
        let (errcode, message) = error.unwrap_or_default();
        MatrixError {
            extra: Some(body.to_string()),
            ..MatrixError::new(401, errcode, message)
        }
    }
}

/// Makes and recognises sessions of one purpose, e.g. `register`.
#[derive(Clone)]
pub struct Sessions {
    secret: ServerSecret,
    purpose: String,
}

impl Sessions {
    /// A session of one purpose is none of another.
    #[must_use]
    pub fn new(secret: ServerSecret, purpose: &str) -> Self {
        Self {
            secret,
            purpose: format!("uia/{purpose}"),
        }
    }

    /// A new session, opaque to the client.
    #[must_use]
    pub fn begin(&self, now_ms: i64) -> String {
        let mut bytes = Vec::with_capacity(EXPIRY + RANDOM + CODE);
        bytes.extend(now_ms.saturating_add(LIFETIME_MS).to_be_bytes());
        bytes.extend(rand::random::<[u8; RANDOM]>());
        let code = self.code(&bytes);
        bytes.extend(code);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Whether the text is a session that we began and that has not ended.
    #[must_use]
    pub fn is_live(&self, session: &str, now_ms: i64) -> bool {
        let Ok(bytes) = URL_SAFE_NO_PAD.decode(session) else {
            return false;
        };
        let Some((body, code)) = bytes.split_at_checked(EXPIRY + RANDOM) else {
            return false;
        };
        let Some(expiry) = body.first_chunk::<EXPIRY>() else {
            return false;
        };
        same(code, &self.code(body)) && now_ms < i64::from_be_bytes(*expiry)
    }

    fn code(&self, body: &[u8]) -> [u8; CODE] {
        let mut code = [0; CODE];
        for (to, from) in code.iter_mut().zip(self.secret.mac(&self.purpose, body)) {
            *to = from;
        }
        code
    }
}

/// Compares without telling by its time how much is the same.
fn same(left: &[u8], right: &[u8]) -> bool {
    left.len() == right.len() && left.iter().zip(right).fold(0, |all, (l, r)| all | (l ^ r)) == 0
}

#[cfg(test)]
mod tests;
