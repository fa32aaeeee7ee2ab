//! Request bodies that were answered before they were read to their end, as by a 404.
//!
//! HTTP/1 has no place for the next request but behind this body. hyper gives up such a connection
//! without having said so, and a client that sends its next request on it gets no answer. So the rest
//! is read, within bounds; where it does not end within them, the response says that the connection
//! closes.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderValue, Version, header};
use http_body_util::BodyExt as _;
use hyper::body::{Frame, SizeHint};

use crate::ruma_body::BodyLimit;

/// How long a response waits for the rest of its request.
const PATIENCE: Duration = Duration::from_secs(5);

/// Reads what the handlers have left of a request's body, at most `limit` bytes of it.
pub(crate) async fn read_rest(
    State(BodyLimit(limit)): State<BodyLimit>,
    request: Request,
    next: Next,
) -> Response {
    // Streams of HTTP/2 end one by one.
    let shares_connection = request.version() < Version::HTTP_2;
    if !shares_connection || request.body().is_end_stream() {
        return next.run(request).await;
    }
    // Who waits to be asked for the body need not send it any more, but may: nobody knows what follows.
    let waits = request.headers().contains_key(header::EXPECT);
    let left = Left::default();
    let request = request.map(|body| {
        Body::new(Lent {
            body: Some(body),
            left: left.clone(),
        })
    });
    let mut response = next.run(request).await;
    if let Some(rest) = left.take()
        && (waits || !ends_within(rest, limit).await)
    {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
    response
}

/// True if the body ended in time and within `limit` bytes.
async fn ends_within(mut body: Body, limit: usize) -> bool {
    let read = async {
        let mut bytes = 0;
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else { return false };
            bytes += frame.data_ref().map_or(0, Bytes::len);
            if bytes > limit {
                return false;
            }
        }
        true
    };
    tokio::time::timeout(PATIENCE, read).await.unwrap_or(false)
}

/// Where a body comes back to.
#[derive(Clone, Default)]
struct Left(Arc<Mutex<Option<Body>>>);

impl Left {
    fn put(&self, body: Body) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(body);
    }

    fn take(&self) -> Option<Body> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// A body that comes back when it is dropped before its end.
struct Lent {
    body: Option<Body>,
    left: Left,
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(body) = self.body.take().filter(|body| !body.is_end_stream()) {
            self.left.put(body);
        }
    }
}

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let Some(body) = &mut self.body else {
            return Poll::Ready(None);
        };
        let frame = std::task::ready!(Pin::new(body).poll_frame(context));
        if frame.is_none() {
            self.body = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let hint = self.body.as_ref().map(HttpBody::size_hint);
        hint.unwrap_or_else(|| SizeHint::with_exact(0))
    }
}
