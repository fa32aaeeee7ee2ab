//! What surrounds every endpoint: CORS, limits, time, panics, metrics, the access log.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use futures_util::FutureExt as _;
use ganglion_config::Http;
use ganglion_model::MatrixError;
use ganglion_telemetry::metrics::{Counter, Gauge, Histogram};
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tracing::Instrument as _;

use crate::address::{ClientAddress, Peer};
use crate::error::ApiError;
use crate::ruma_body::BodyLimit;
use crate::unread::Unread;

static REQUESTS: Counter = Counter::new(
    "ganglion_http_requests_total",
    "Requests by route, method and status.",
);
static SECONDS: Histogram = Histogram::new(
    "ganglion_http_request_seconds",
    "Time to answer by route, long-polls included.",
);
static PANICS: Counter = Counter::new("ganglion_http_panics_total", "Requests that panicked.");
static REFUSED: Counter = Counter::new(
    "ganglion_http_refused_total",
    "Requests refused because too many are in work.",
);
static IN_WORK: Gauge = Gauge::new("ganglion_http_requests_in_work", "Requests in work.");

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// What a refused client is told to wait.
const BUSY_MS: u64 = 1_000;

/// The bounds of one server. A clone is the same.
#[derive(Debug, Clone)]
pub struct Limits {
    in_work: Arc<Semaphore>,
    parked: Arc<Semaphore>,
    timeout: Duration,
    long_polls: Arc<Vec<String>>,
    body: BodyLimit,
    trusted_proxies: usize,
}

impl Limits {
    /// From `[http]`; `long_polls` are the path templates whose requests are parked.
    #[must_use]
    pub fn new(config: &Http, long_polls: Vec<String>) -> Self {
        Self {
            in_work: Arc::new(Semaphore::new(config.max_requests)),
            parked: Arc::new(Semaphore::new(config.max_parked)),
            timeout: Duration::from_millis(config.request_timeout_ms),
            long_polls: Arc::new(long_polls),
            body: BodyLimit(config.max_body_bytes),
            trusted_proxies: config.trusted_proxies,
        }
    }
}

/// Puts everything around a router.
pub fn layers(router: Router, limits: Limits) -> Router {
    router
        .layer(from_fn_with_state(limits, bounded))
        .layer(from_fn(observed))
        .layer(from_fn(cross_origin))
}

/// Runs a request within its bounds of number and time; a panic is an error of that request alone.
async fn bounded(State(limits): State<Limits>, mut request: Request, next: Next) -> Response {
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map(|path| path.as_str().to_owned());
    let parks = route.is_some_and(|route| limits.long_polls.contains(&route));
    let permits = if parks {
        &limits.parked
    } else {
        &limits.in_work
    };
    let Ok(_permit) = permits.clone().try_acquire_owned() else {
        REFUSED.increment(1);
        return ApiError(MatrixError::limit_exceeded(BUSY_MS)).into_response();
    };
    let peer = request.extensions().get::<Peer>().map(|peer| peer.0);
    let address = ClientAddress::of(request.headers(), peer, limits.trusted_proxies);
    request.extensions_mut().insert(address);
    request.extensions_mut().insert(limits.body);
    let _counted = InWork::new();
    let (request, unread) = Unread::watch(request);
    let work = std::panic::AssertUnwindSafe(next.run(request)).catch_unwind();
    let outcome = if parks {
        Some(work.await)
    } else {
        tokio::time::timeout(limits.timeout, work).await.ok()
    };
    let response = match outcome {
        Some(Ok(response)) => response,
        Some(Err(_panic)) => {
            PANICS.increment(1);
            tracing::error!("a request panicked");
            ApiError(MatrixError::internal()).into_response()
        }
        None => {
            let error = MatrixError::new(504, "M_UNKNOWN", "the request took too long");
            ApiError(error).into_response()
        }
    };
    match unread {
        Some(unread) => unread.discard(limits.body.0, response).await,
        None => response,
    }
}

/// Counts a request in work, also one whose client goes away.
struct InWork;

impl InWork {
    fn new() -> Self {
        IN_WORK.add(1.0);
        Self
    }
}

impl Drop for InWork {
    fn drop(&mut self) {
        IN_WORK.add(-1.0);
    }
}

/// Counts and logs a request by its route; never its query, its body or its token.
async fn observed(request: Request, next: Next) -> Response {
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "unmatched".to_owned(), |path| path.as_str().to_owned());
    let method = request.method().clone();
    let id = request_id(&request);
    let span = tracing::info_span!("http.request", http.route = route, http.method = %method, request.id = id);
    let started = Instant::now();
    let mut response = next.run(request).instrument(span.clone()).await;
    let seconds = started.elapsed().as_secs_f64();
    let status = response.status().as_u16().to_string();
    let known_method = match method.as_str() {
        known @ ("GET" | "POST" | "PUT" | "DELETE" | "HEAD" | "OPTIONS") => known,
        _ => "other",
    };
    REQUESTS
        .with(&[
            ("route", &route),
            ("method", known_method),
            ("status", &status),
        ])
        .increment(1);
    SECONDS.with(&[("route", &route)]).record(seconds);
    span.in_scope(|| {
        tracing::debug!(http.status = status, seconds, "answered");
    });
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

fn request_id(request: &Request) -> String {
    let given = request
        .headers()
        .get(REQUEST_ID)
        .and_then(|value| value.to_str().ok());
    let usable = |id: &&str| {
        !id.is_empty()
            && id.len() <= 64
            && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    given
        .filter(usable)
        .map_or_else(|| uuid::Uuid::new_v4().to_string(), ToOwned::to_owned)
}

/// Client-server API, "Web Browser Clients".
async fn cross_origin(request: Request, next: Next) -> Response {
    let mut response = if request.method() == Method::OPTIONS {
        StatusCode::NO_CONTENT.into_response()
    } else {
        next.run(request).await
    };
    for (name, value) in [
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (
            header::ACCESS_CONTROL_ALLOW_METHODS,
            "GET, POST, PUT, DELETE, OPTIONS",
        ),
        (
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            "X-Requested-With, Content-Type, Authorization",
        ),
    ] {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}
