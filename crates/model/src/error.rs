//! The error that a client sees, in one type that any role may produce.

/// A Matrix error: what the spec calls a "standard error response" (client-server API, section
/// "Standard error response"), with its HTTP status.
///
/// The event-persister returns it inside a gRPC reply, the client-reader writes it to the client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{errcode}: {message}")]
pub struct MatrixError {
    /// HTTP status code.
    pub status: u16,
    /// `M_FORBIDDEN` and so on.
    pub errcode: String,
    /// For people; must not hold secrets.
    pub message: String,
    /// For `M_LIMIT_EXCEEDED`: when to come back.
    pub retry_after_ms: Option<u64>,
    /// Further top-level keys of the body, as a JSON object's text, e.g. `{"soft_logout":false}`.
    pub extra: Option<String>,
}

impl MatrixError {
    /// Any status and code.
    #[must_use]
    pub fn new(status: u16, errcode: &str, message: impl Into<String>) -> Self {
        Self {
            status,
            errcode: errcode.to_owned(),
            message: message.into(),
            retry_after_ms: None,
            extra: None,
        }
    }

    /// 403 `M_FORBIDDEN`.
    #[must_use]
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(403, "M_FORBIDDEN", message)
    }

    /// 404 `M_NOT_FOUND`.
    #[must_use]
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(404, "M_NOT_FOUND", message)
    }

    /// 400 `M_BAD_JSON`.
    #[must_use]
    pub fn bad_json(message: impl Into<String>) -> Self {
        Self::new(400, "M_BAD_JSON", message)
    }

    /// 400 `M_INVALID_PARAM`.
    #[must_use]
    pub fn invalid_param(message: impl Into<String>) -> Self {
        Self::new(400, "M_INVALID_PARAM", message)
    }

    /// 413 `M_TOO_LARGE`.
    #[must_use]
    pub fn too_large(message: impl Into<String>) -> Self {
        Self::new(413, "M_TOO_LARGE", message)
    }

    /// 429 `M_LIMIT_EXCEEDED`.
    #[must_use]
    pub fn limit_exceeded(retry_after_ms: u64) -> Self {
        Self {
            retry_after_ms: Some(retry_after_ms),
            ..Self::new(429, "M_LIMIT_EXCEEDED", "too many requests")
        }
    }

    /// 401 `M_USER_LOCKED` (client-server API, "Account locking").
    #[must_use]
    pub fn user_locked() -> Self {
        Self {
            extra: Some(r#"{"soft_logout":true}"#.to_owned()),
            ..Self::new(401, "M_USER_LOCKED", "this account is locked")
        }
    }

    /// 403 `M_USER_SUSPENDED` (client-server API, "Account suspension").
    #[must_use]
    pub fn user_suspended() -> Self {
        let message = "you cannot do this while your account is suspended";
        Self::new(403, "M_USER_SUSPENDED", message)
    }

    /// 503 `M_UNKNOWN`: a shared dependency is away; the client may try again.
    #[must_use]
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(503, "M_UNKNOWN", message)
    }

    /// 500 `M_UNKNOWN`: a fault of ours; its cause belongs in the log, not in the message.
    #[must_use]
    pub fn internal() -> Self {
        Self::new(500, "M_UNKNOWN", "internal server error")
    }
}
