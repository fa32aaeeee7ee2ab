//! What is left of a request's body when its answer is ready.
//!
//! An endpoint may answer before it has read the body: there is no such path, the token is wrong, the
//! rate is used up. A server cannot go on with a connection on which the rest of a body is still to
//! come; it closes it, the balancer then closes the client's connection, and the next request that the
//! client has sent on it is lost. So the rest is read and thrown away first, within bounds.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::response::Response;
use futures_util::StreamExt as _;
use http::{HeaderValue, Version, header};
use http_body_util::BodyStream;
use hyper::body::{Frame, SizeHint};
use tokio::sync::oneshot;

/// How long a client may take to send the rest.
const PATIENCE: Duration = Duration::from_secs(5);

/// Gets the body back if whoever handles the request drops it before its end.
pub(crate) struct Unread {
    left: oneshot::Receiver<Body>,
    version: Version,
    waits: bool,
}

impl Unread {
    /// The request with its body watched; `None` if it has no body.
    pub(crate) fn watch(request: Request) -> (Request, Option<Self>) {
        if request.body().is_end_stream() {
            return (request, None);
        }
        let (back, left) = oneshot::channel();
        let unread = Self {
            left,
            version: request.version(),
            waits: request.headers().contains_key(header::EXPECT),
        };
        let watch = |body| Body::new(Watched(Some((body, back))));
        (request.map(watch), Some(unread))
    }

    /// The response, once the rest of the body was read; if that is more than `limit` bytes, or slow,
    /// the response says that the connection ends. Who waits to be told to send a body is not asked
    /// for it.
    pub(crate) async fn discard(mut self, limit: usize, mut response: Response) -> Response {
        let Ok(left) = self.left.try_recv() else {
            return response;
        };
        let rest = rest_of(left, limit);
        if !self.waits && tokio::time::timeout(PATIENCE, rest).await == Ok(true) {
            return response;
        }
        if self.version <= Version::HTTP_11 {
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(header::CONNECTION, close);
        }
        response
    }
}

/// Reads to the end; `false` if that is further than `limit` bytes away, or never comes.
async fn rest_of(body: Body, limit: usize) -> bool {
    let mut left = u64::try_from(limit).unwrap_or(u64::MAX);
    if body.size_hint().lower() > left {
        return false;
    }
    let mut frames = BodyStream::new(body);
    while let Some(frame) = frames.next().await {
        let Ok(frame) = frame else {
            return false;
        };
        let read = frame.data_ref().map_or(0, Bytes::len);
        let Some(fewer) = left.checked_sub(read as u64) else {
            return false;
        };
        left = fewer;
    }
    true
}

/// A body that is given back when it is dropped before its end.
struct Watched(Option<(Body, oneshot::Sender<Body>)>);

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let Some((body, _)) = &mut self.0 else {
            return Poll::Ready(None);
        };
        let polled = Pin::new(body).poll_frame(cx);
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            self.0 = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(|(body, _)| body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.0
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), |(body, _)| body.size_hint())
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if let Some((body, back)) = self.0.take()
            && !body.is_end_stream()
        {
            // Nobody waits if the request itself was given up.
            back.send(body).ok();
        }
    }
}
