//! One request and the ways to answer it. They are the same for HTTP/1.1 and HTTP/2.

use std::time::Duration;

use bytes::Bytes;
use h2::Reason;

use super::{
    http1_exchange::Http1Exchange,
    http2_exchange::Http2Exchange,
    message::{HttpRequest, Response},
};

/// A request that has no complete response yet. Dropping the exchange ends its connection (HTTP/1.1) or its stream
/// (HTTP/2).
pub struct Exchange {
    /// The request.
    pub request: HttpRequest,
    /// The number of its connection: 0 for the first that the server accepted.
    pub connection: usize,
    pub(super) stream: Stream,
}

pub(super) enum Stream {
    Http1(Http1Exchange),
    Http2(Http2Exchange),
}

impl Exchange {
    /// Returns when the client has closed the connection (HTTP/1.1) or reset the stream (HTTP/2). The future may be
    /// dropped before that.
    pub async fn wait_for_hang_up(&mut self) {
        match &mut self.stream {
            Stream::Http1(stream) => stream.wait_for_hang_up().await,
            Stream::Http2(stream) => stream.wait_for_hang_up().await,
        }
    }

    /// Sends the whole response. Returns false if the client has gone and the socket has noticed it.
    pub async fn answer(self, response: &Response) -> bool {
        match self.stream {
            Stream::Http1(stream) => stream.answer(response).await,
            Stream::Http2(stream) => stream.answer(response),
        }
    }

    /// Sends an interim response, which has a status of 1xx. Returns false if the client has gone.
    pub async fn interim(&mut self, status: u16) -> bool {
        match &mut self.stream {
            Stream::Http1(stream) => stream.interim(status).await,
            Stream::Http2(stream) => stream.interim(status),
        }
    }

    /// Sends the head of the response and the first `body_bytes` of its body. Returns false if the client has
    /// gone.
    pub async fn begin(&mut self, response: &Response, body_bytes: usize) -> bool {
        match &mut self.stream {
            Stream::Http1(stream) => stream.begin(response, body_bytes).await,
            Stream::Http2(stream) => stream.begin(response, body_bytes),
        }
    }

    /// Ends a response that [`begin`](Self::begin) began, although its body is incomplete: with an orderly end of the
    /// connection (HTTP/1.1) or a reset of the stream (HTTP/2).
    pub async fn cut_off(self) {
        match self.stream {
            Stream::Http1(stream) => stream.close().await,
            Stream::Http2(stream) => stream.reset(Reason::INTERNAL_ERROR),
        }
    }

    /// Resets the connection (HTTP/1.1) or the stream with this reason (HTTP/2).
    pub fn reset(self, reason: Reason) {
        match self.stream {
            Stream::Http1(stream) => stream.reset(),
            Stream::Http2(stream) => stream.reset(reason),
        }
    }

    /// Sends the head of the response, its body, and then `chunk` repeatedly, with a pause after each.
    /// Returns when the client has gone.
    pub async fn answer_endlessly(self, response: &Response, chunk: Bytes, pause: Duration) {
        match self.stream {
            Stream::Http1(stream) => stream.answer_endlessly(response, &chunk, pause).await,
            Stream::Http2(stream) => stream.answer_endlessly(response, chunk, pause).await,
        }
    }

    /// Writes these bytes instead of a response. Returns false if the client has gone.
    ///
    /// # Panics
    /// If the version is HTTP/2.
    pub async fn write_raw(&mut self, bytes: &[u8]) -> bool {
        match &mut self.stream {
            Stream::Http1(stream) => stream.write_raw(bytes).await,
            Stream::Http2(_) => panic!("raw bytes can be written over HTTP/1.1 only"),
        }
    }

    /// Waits until the client has reset the stream, and returns the reason of the reset.
    ///
    /// # Panics
    /// If the version is HTTP/1.1.
    pub async fn wait_for_reset(self) -> Option<Reason> {
        match self.stream {
            Stream::Http1(_) => panic!("HTTP/1.1 has no streams that a client could reset"),
            Stream::Http2(mut stream) => stream.wait_for_reset().await,
        }
    }
}
