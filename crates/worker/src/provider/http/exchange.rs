//! One request and the head of its answer, on whatever connection the pool has.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, header::CONTENT_LENGTH};
use hyper::body::Incoming;
use url::Url;

use super::{connection::Body, leased::Leased, pool::Pool, transport};
use crate::provider::Failure;

/// So many connections that were made meanwhile may turn out to be closed before one takes the request. Those that
/// were there before do not count: when their server restarts, any number of them are over, each is found so only
/// once, and none was sent anything.
const MADE_MAX: u32 = 5;

/// A request on its way.
pub(super) struct Exchange {
    /// Boxed, since it is gone once it is sent, and what remains then waits for seconds.
    request: Box<Request<Body>>,
}

/// An answer whose head has come, and the connection that its body comes on.
pub(super) struct Answered {
    pub(super) response: Response<Incoming>,
    pub(super) leased: Leased,
}

impl Exchange {
    /// A request; `None` when the URL is longer than a URI may be here, as the name of a model can make it.
    pub(super) fn new(url: &Url, headers: &HeaderMap, body: Vec<u8>) -> Option<Self> {
        let target = url.as_str().parse().ok()?;
        let length = HeaderValue::from(body.len());
        let mut request = Box::new(Request::new(Body::new(Bytes::from(body))));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = target;
        *request.headers_mut() = headers.clone();
        request.headers_mut().insert(CONTENT_LENGTH, length);
        Some(Self { request })
    }

    /// Sends the request and waits for the head of the answer.
    pub(super) async fn run(self, pool: &Arc<Pool>) -> Result<Answered, Failure> {
        let mut request = self.request;
        let mut made = 0;
        loop {
            // Boxed, as making a connection takes more room than waiting on one.
            let (mut leased, is_new) = Box::pin(pool.lease()).await?;
            made += u32::from(is_new);
            pool.connector().address(&mut request, leased.is_own());
            let mut error = match leased.send(request).await {
                Ok(response) => return Ok(Answered { response, leased }),
                Err(error) => error,
            };
            match error.take_message() {
                // Closed before anything was sent, as happens to a connection that was left idle.
                Some(unsent) if made < MADE_MAX => request = Box::new(unsent),
                _ => return Err(transport::failed(error.error())),
            }
        }
    }
}
