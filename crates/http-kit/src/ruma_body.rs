//! Requests and responses in ruma's types: the JSON rules of the Matrix specification in one place.

use axum::body::Body;
use axum::extract::{FromRequest, MatchedPath, Request};
use axum::response::{IntoResponse, Response};
use ganglion_model::MatrixError;
use http::request::Parts;
use http::{Extensions, HeaderValue, Method, Uri, header};
use http_body_util::BodyExt as _;
use percent_encoding::percent_decode_str;
use ruma::api::error::FromHttpRequestError;
use ruma::api::{
    IncomingRequest, IncomingRequestExt as _, OutgoingResponse, OutgoingResponseExt as _,
};
use serde::de::IgnoredAny;

use crate::error::ApiError;

/// The largest request body, in bytes; an extension of every request.
#[derive(Debug, Clone, Copy)]
pub struct BodyLimit(pub usize);

/// A request body that was not limited by a layer is limited to this.
const DEFAULT_LIMIT: usize = 1_048_576;

/// An endpoint's request, parsed.
///
/// Refuses with `M_TOO_LARGE`, `M_NOT_JSON`, `M_BAD_JSON`, or, for what is wrong in the path or the
/// query, `M_INVALID_PARAM`.
#[derive(Debug)]
pub struct Ruma<T>(pub T);

impl<S: Send + Sync, T: IncomingRequest + Send + 'static> FromRequest<S> for Ruma<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _state: &S) -> Result<Self, ApiError> {
        let arguments = path_arguments(request.extensions(), request.uri())?;
        let (parts, bytes) = body_of(request).await?;
        let mut request = http::Request::new(bytes.as_slice());
        *request.method_mut() = parts.method;
        *request.uri_mut() = parts.uri;
        *request.headers_mut() = parts.headers;
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        T::try_from_http_request(request, &arguments)
            .map(Self)
            .map_err(|error| refusal(&error))
    }
}

/// A request whose body the handler reads itself, where ruma's types would not take what the
/// specification allows, or would not keep it. Refuses what [`Ruma`] refuses before it parses.
#[derive(Debug)]
pub struct RawRequest {
    /// The values of the path's placeholders, decoded, in order.
    pub arguments: Vec<String>,
    /// JSON; `{}` where there is no body.
    pub body: Vec<u8>,
}

impl<S: Send + Sync> FromRequest<S> for RawRequest {
    type Rejection = ApiError;

    async fn from_request(request: Request, _state: &S) -> Result<Self, ApiError> {
        let arguments = path_arguments(request.extensions(), request.uri())?;
        let (_, body) = body_of(request).await?;
        Ok(Self { arguments, body })
    }
}

/// The head and the body, which is JSON or, without one, `{}`; empty for methods without a body.
async fn body_of(request: Request) -> Result<(Parts, Vec<u8>), ApiError> {
    let (parts, body) = request.into_parts();
    let limit = parts
        .extensions
        .get::<BodyLimit>()
        .map_or(DEFAULT_LIMIT, |limit| limit.0);
    if !matches!(parts.method, Method::POST | Method::PUT | Method::DELETE) {
        return Ok((parts, Vec::new()));
    }
    let mut bytes = collect(body, limit).await?;
    if bytes.is_empty() {
        // Endpoints whose body is optional are called without one.
        bytes.extend_from_slice(b"{}");
    } else {
        is_json(&bytes)?;
    }
    Ok((parts, bytes))
}

async fn collect(body: Body, limit: usize) -> Result<Vec<u8>, ApiError> {
    let limited = http_body_util::Limited::new(body, limit);
    match limited.collect().await {
        Ok(collected) => Ok(collected.to_bytes().to_vec()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => {
            Err(MatrixError::too_large(format!("the body is larger than {limit} bytes")).into())
        }
        Err(error) => {
            Err(MatrixError::new(400, "M_NOT_JSON", format!("the body broke off: {error}")).into())
        }
    }
}

fn is_json(bytes: &[u8]) -> Result<(), MatrixError> {
    let text = std::str::from_utf8(bytes).map_err(|error| error.to_string());
    let parsed = text.and_then(|text| {
        serde_json::from_str::<IgnoredAny>(text).map_err(|error| error.to_string())
    });
    match parsed {
        Ok(IgnoredAny) => Ok(()),
        Err(error) => Err(MatrixError::new(
            400,
            "M_NOT_JSON",
            format!("not JSON: {error}"),
        )),
    }
}

/// The values of the path's placeholders, decoded, in order.
///
/// # Errors
/// `M_INVALID_PARAM` for one that is not UTF-8 or has a NUL.
pub fn path_arguments(extensions: &Extensions, uri: &Uri) -> Result<Vec<String>, ApiError> {
    let Some(matched) = extensions.get::<MatchedPath>() else {
        return Ok(Vec::new());
    };
    let template = matched.as_str().split('/');
    let values = template.zip(uri.path().split('/'));
    values
        .filter(|(name, _)| name.starts_with('{'))
        .map(|(name, value)| {
            let decoded = percent_decode_str(value)
                .decode_utf8()
                .map_err(|_not_utf8| {
                    MatrixError::invalid_param(format!("{name} in the path is not UTF-8"))
                })?;
            // PostgreSQL can store no such name, and not even be asked for it.
            if decoded.contains('\0') {
                let message = format!("{name} in the path has a NUL");
                return Err(MatrixError::invalid_param(message).into());
            }
            Ok(decoded.into_owned())
        })
        .collect()
}

fn refusal(error: &FromHttpRequestError) -> ApiError {
    let message = error.to_string();
    let FromHttpRequestError::Deserialization(inner) = error else {
        return MatrixError::new(405, "M_UNRECOGNIZED", message).into();
    };
    use ruma::api::error::DeserializationError as Inner;
    match inner {
        Inner::Json(_) => MatrixError::bad_json(message).into(),
        Inner::Query(error) if error.to_string().contains("missing field") => {
            MatrixError::new(400, "M_MISSING_PARAM", message).into()
        }
        _ => MatrixError::invalid_param(message).into(),
    }
}

/// An endpoint's response in ruma's types.
#[derive(Debug)]
pub struct RumaBody<R>(pub R);

impl<R: OutgoingResponse> IntoResponse for RumaBody<R> {
    fn into_response(self) -> Response {
        match self.0.try_into_http_response::<Vec<u8>>() {
            Ok(response) => response.map(Body::from).into_response(),
            Err(error) => {
                tracing::error!(%error, "a response cannot be written");
                ApiError(MatrixError::internal()).into_response()
            }
        }
    }
}

/// A response whose JSON the handler has written itself.
#[derive(Debug)]
pub struct JsonBytes(pub Vec<u8>);

impl IntoResponse for JsonBytes {
    fn into_response(self) -> Response {
        let json = HeaderValue::from_static("application/json");
        ([(header::CONTENT_TYPE, json)], self.0).into_response()
    }
}
