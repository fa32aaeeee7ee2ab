//! The access token of a request.

use ganglion_model::MatrixError;
use http::header;
use http::request::Parts;

use crate::error::ApiError;

/// Turns a token into a caller; the service's state implements it.
pub trait Authenticate {
    /// Who calls.
    type Caller;

    /// Who has this token.
    ///
    /// # Errors
    /// 401 `M_UNKNOWN_TOKEN` for a token that is not, or no longer, valid.
    fn authenticate(
        &self,
        token: &str,
    ) -> impl Future<Output = Result<Self::Caller, ApiError>> + Send;
}

/// The token of a request: from the `Authorization` header, or from the query, as versions of the
/// specification before 1.20 allow.
///
/// # Errors
/// 401 `M_MISSING_TOKEN` without one.
pub fn bearer_token(parts: &Parts) -> Result<String, ApiError> {
    let header = parts
        .headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let from_header = header.and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme
            .eq_ignore_ascii_case("bearer")
            .then(|| token.trim().to_owned())
    });
    let token = from_header.or_else(|| {
        let query = parts.uri.query()?;
        let mut pairs = form_urlencoded::parse(query.as_bytes());
        pairs
            .find(|(key, _)| key == "access_token")
            .map(|(_, token)| token.into_owned())
    });
    token.filter(|token| !token.is_empty()).ok_or_else(|| {
        ApiError(MatrixError::new(
            401,
            "M_MISSING_TOKEN",
            "this request needs an access token",
        ))
    })
}
