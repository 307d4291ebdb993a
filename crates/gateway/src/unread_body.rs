//! Reads the body of a request whose handler did not begin to read it, within the limits on discarding. Otherwise the
//! connection would close while the client sends, and many clients then report a broken connection instead of the response.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use axum::{body::Body, extract::Request, http::header::EXPECT, response::Response};
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};

use crate::request_body;

/// Where a body is put that was dropped before it was read.
type DroppedBody = Arc<Mutex<Option<Body>>>;

/// Handles a request, then discards its body if no handler has read it.
pub(crate) async fn discard_unread(
    request: Request,
    handle: impl AsyncFnOnce(Request) -> Response,
) -> Response {
    // A client that sends `Expect: 100-continue` has sent no body yet.
    if request.body().is_end_stream() || request.headers().contains_key(EXPECT) {
        return handle(request).await;
    }
    let dropped = DroppedBody::default();
    let request = request.map(|body| {
        Body::new(WatchedBody {
            body: Some(body),
            is_read: false,
            dropped: Arc::clone(&dropped),
        })
    });
    let response = handle(request).await;
    let body = dropped
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take();
    if let Some(body) = body {
        request_body::discard(body).await;
    }
    response
}

/// A body that is kept if it is dropped before its first read.
struct WatchedBody {
    /// `None` once the body is dropped.
    body: Option<Body>,
    is_read: bool,
    dropped: DroppedBody,
}

impl HttpBody for WatchedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.is_read = true;
        match &mut self.body {
            Some(body) => Pin::new(body).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body
            .as_ref()
            .map_or_else(SizeHint::default, HttpBody::size_hint)
    }
}

impl Drop for WatchedBody {
    fn drop(&mut self) {
        if !self.is_read {
            *self.dropped.lock().unwrap_or_else(PoisonError::into_inner) = self.body.take();
        }
    }
}
