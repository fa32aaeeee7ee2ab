//! Passwords: argon2id, off the async threads, a bounded number at once.

use std::sync::Arc;

use argon2::password_hash::{PasswordHash, PasswordHasher as _, PasswordVerifier as _, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use ganglion_model::MatrixError;
use ganglion_telemetry::metrics::Counter;
use tokio::sync::Semaphore;

static HASHES: Counter = Counter::new(
    "ganglion_accounts_password_hashes_total",
    "Password hashes by outcome: done, busy.",
);

/// Requests that may wait for each hash in work.
const WAITING_PER_HASH: usize = 16;
/// Longer passwords only cost time.
const MAX_BYTES: usize = 512;
/// When a client that met a full queue should come back.
const RETRY_AFTER_MS: u64 = 1_000;

/// Hashes and checks passwords. A clone is the same pool.
#[derive(Clone)]
pub struct Passwords(Arc<Inner>);

struct Inner {
    argon2: Argon2<'static>,
    /// Checked against where there is no account, so that both take the same time.
    nobody: String,
    places: Semaphore,
    running: Semaphore,
}

impl Passwords {
    /// A pool that computes `at_once` hashes at once with argon2id of `memory_kib` and `passes`.
    ///
    /// # Errors
    /// A message for the operator if argon2 cannot work with these numbers.
    pub fn new(memory_kib: u32, passes: u32, at_once: usize) -> Result<Self, String> {
        let params = Params::new(memory_kib, passes, 1, None)
            .map_err(|error| format!("accounts.argon2_memory_kib, argon2_passes: {error}"))?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let nobody = hash(&argon2, "").map_err(|error| format!("argon2: {error}"))?;
        let at_once = at_once.max(1);
        Ok(Self(Arc::new(Inner {
            argon2,
            nobody,
            places: Semaphore::new(at_once.saturating_mul(WAITING_PER_HASH)),
            running: Semaphore::new(at_once),
        })))
    }

    /// The hash of a new password, in the PHC string format.
    ///
    /// # Errors
    /// `M_LIMIT_EXCEEDED` if too many wait already.
    pub async fn hash(&self, password: String) -> Result<String, MatrixError> {
        self.run(move |inner| hash(&inner.argon2, &password))
            .await?
            .map_err(|error| {
                tracing::error!(error = %error, "a password cannot be hashed");
                MatrixError::internal()
            })
    }

    /// Whether the password is the one of `stored`; takes as long where nothing is stored.
    ///
    /// # Errors
    /// `M_LIMIT_EXCEEDED` if too many wait already.
    pub async fn verify(
        &self,
        password: String,
        stored: Option<String>,
    ) -> Result<bool, MatrixError> {
        if password.len() > MAX_BYTES {
            return Ok(false);
        }
        self.run(move |inner| {
            let against = stored.as_deref().unwrap_or(&inner.nobody);
            let fits = PasswordHash::new(against).is_ok_and(|parsed| {
                inner
                    .argon2
                    .verify_password(password.as_bytes(), &parsed)
                    .is_ok()
            });
            fits && stored.is_some()
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> T + Send + 'static,
    ) -> Result<T, MatrixError> {
        let Ok(_place) = self.0.places.try_acquire() else {
            HASHES.with(&[("outcome", "busy")]).increment(1);
            return Err(MatrixError::limit_exceeded(RETRY_AFTER_MS));
        };
        let _turn = self
            .0
            .running
            .acquire()
            .await
            .map_err(|_closed| MatrixError::internal())?;
        let inner = self.0.clone();
        let done = tokio::task::spawn_blocking(move || work(&inner)).await;
        HASHES.with(&[("outcome", "done")]).increment(1);
        done.map_err(|error| {
            tracing::error!(error = %error, "a password hash did not end");
            MatrixError::internal()
        })
    }
}

fn hash(argon2: &Argon2<'_>, password: &str) -> Result<String, argon2::password_hash::Error> {
    let salt = SaltString::encode_b64(&rand::random::<[u8; 16]>())?;
    Ok(argon2
        .hash_password(password.as_bytes(), &salt)?
        .to_string())
}

/// Whether a new password may be taken: long enough, and with a character of each class that is asked
/// for (`accounts.password_…`).
///
/// # Errors
/// `M_WEAK_PASSWORD` for a weak one, `M_INVALID_PARAM` for one beyond 512 bytes.
pub fn check_strength(
    password: &str,
    policy: &ganglion_config::Accounts,
) -> Result<(), MatrixError> {
    if password.len() > MAX_BYTES {
        return Err(MatrixError::invalid_param(
            "a password has at most 512 bytes",
        ));
    }
    let weak =
        |what: &str| MatrixError::new(400, "M_WEAK_PASSWORD", format!("a password has {what}"));
    if password.chars().count() < policy.password_min_length {
        return Err(weak(&format!(
            "at least {} characters",
            policy.password_min_length
        )));
    }
    let has = |is_of: fn(char) -> bool| password.chars().any(is_of);
    let symbol = |c: char| !c.is_alphanumeric();
    for (required, there, what) in [
        (
            policy.password_require_digit,
            has(char::is_numeric),
            "a digit",
        ),
        (
            policy.password_require_lowercase,
            has(char::is_lowercase),
            "a small letter",
        ),
        (
            policy.password_require_uppercase,
            has(char::is_uppercase),
            "a capital letter",
        ),
        (
            policy.password_require_symbol,
            has(symbol),
            "a character that is neither letter nor digit",
        ),
    ] {
        if required && !there {
            return Err(weak(what));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
