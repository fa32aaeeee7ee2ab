//! Matrix errors as HTTP responses (client-server API, "Standard error response").

use axum::response::{IntoResponse, Response};
use ganglion_model::MatrixError;
use http::{HeaderValue, StatusCode, header};
use serde_json::{Map, Value};

/// What a handler fails with.
#[derive(Debug, Clone)]
pub struct ApiError(pub MatrixError);

impl From<MatrixError> for ApiError {
    fn from(error: MatrixError) -> Self {
        Self(error)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let Self(error) = self;
        let mut body = match error.extra.as_deref().map(serde_json::from_str) {
            Some(Ok(Value::Object(extra))) => extra,
            _ => Map::new(),
        };
        // Without a code it is no error but a question (user-interactive authentication).
        if !error.errcode.is_empty() {
            body.insert("errcode".to_owned(), Value::String(error.errcode));
            body.insert("error".to_owned(), Value::String(error.message));
        }
        if let Some(ms) = error.retry_after_ms {
            body.insert("retry_after_ms".to_owned(), Value::from(ms));
        }
        let status =
            StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let json = HeaderValue::from_static("application/json");
        let body = Value::Object(body).to_string();
        let mut response = (status, [(header::CONTENT_TYPE, json)], body).into_response();
        if let Some(ms) = error.retry_after_ms {
            let seconds = HeaderValue::from(ms.div_ceil(1_000));
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        response
    }
}
