//! What can go wrong between us and PostgreSQL.

use deadpool_postgres::PoolError;
use tokio_postgres::error::SqlState;

/// A query failed.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// No connection in time, a lost connection, a server that is read-only, starting or shutting
    /// down: the same statement may work in a moment.
    #[error("PostgreSQL is not available: {0}")]
    Unavailable(String),
    /// A read on a replica was cancelled because it stood in the way of replay; try the primary.
    #[error("the read was cancelled by the replica")]
    Cancelled,
    /// PostgreSQL refused the statement: a fault of ours or a value it cannot hold.
    #[error("PostgreSQL refused: {0}")]
    Refused(#[source] tokio_postgres::Error),
    /// A row does not decode: table, column and key.
    #[error("inconsistent data: {0}")]
    Inconsistent(String),
}

impl StorageError {
    /// True if trying again, after a moment or elsewhere, can help.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Cancelled)
    }

    /// A row that does not decode.
    #[must_use]
    pub fn inconsistent(what: impl Into<String>) -> Self {
        Self::Inconsistent(what.into())
    }

    /// True if a unique constraint refused the statement.
    #[must_use]
    pub fn is_unique_violation(&self) -> bool {
        matches!(self, Self::Refused(error) if error.code() == Some(&SqlState::UNIQUE_VIOLATION))
    }

    /// True if a text has a NUL, which no string of PostgreSQL can hold: nothing stored equals it.
    #[must_use]
    pub fn is_nul_in_text(&self) -> bool {
        let code = SqlState::CHARACTER_NOT_IN_REPERTOIRE;
        matches!(self, Self::Refused(error) if error.code() == Some(&code))
    }

    /// The constraint or the column that refused, where PostgreSQL names one.
    #[must_use]
    pub fn constraint(&self) -> Option<&str> {
        match self {
            Self::Refused(error) => error.as_db_error().and_then(|db| db.constraint()),
            _ => None,
        }
    }
}

impl From<tokio_postgres::Error> for StorageError {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(code) = error.code() else {
            // No SQLSTATE: the connection broke, or a value did not convert.
            if error.is_closed() || std::error::Error::source(&error).is_some_and(is_io) {
                return Self::Unavailable(error.to_string());
            }
            return Self::Refused(error);
        };
        let transient = [
            SqlState::ADMIN_SHUTDOWN,
            SqlState::CRASH_SHUTDOWN,
            SqlState::CANNOT_CONNECT_NOW,
            SqlState::READ_ONLY_SQL_TRANSACTION,
            SqlState::TOO_MANY_CONNECTIONS,
            SqlState::DISK_FULL,
            SqlState::QUERY_CANCELED,
            SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
            // A former primary that is a standby now has no flush position.
            SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
        ];
        if [
            SqlState::T_R_SERIALIZATION_FAILURE,
            SqlState::T_R_DEADLOCK_DETECTED,
        ]
        .contains(code)
        {
            return Self::Cancelled;
        }
        if transient.contains(code) || code.code().starts_with("08") {
            return Self::Unavailable(error.to_string());
        }
        Self::Refused(error)
    }
}

fn is_io(source: &(dyn std::error::Error + 'static)) -> bool {
    source.is::<std::io::Error>()
}

impl From<PoolError> for StorageError {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Backend(inner) => match Self::from(inner) {
                // Whatever stopped a connection from being made can pass.
                Self::Refused(inner) => Self::Unavailable(inner.to_string()),
                other => other,
            },
            other => Self::Unavailable(other.to_string()),
        }
    }
}
