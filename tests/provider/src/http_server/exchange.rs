//! One request and the ways to answer it. They are the same for HTTP/1.1 and HTTP/2.

use std::time::Duration;

use bytes::Bytes;
use h2::Reason;

use super::{
    http1_exchange::Http1Exchange,
    http2_exchange::Http2Exchange,
    message::{HttpRequest, Response},
};

/// A request that has no answer yet. Dropping it ends its connection (HTTP/1.1) or its stream (HTTP/2).
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
    /// Returns when the client has closed the connection (HTTP/1.1) or reset the stream (HTTP/2). Safe to
    /// drop before that.
    pub async fn hung_up(&mut self) {
        match &mut self.stream {
            Stream::Http1(stream) => stream.hung_up().await,
            Stream::Http2(stream) => stream.hung_up().await,
        }
    }

    /// Sends the whole response. Returns false if the client has gone, as far as the socket shows it.
    pub async fn answer(self, response: &Response) -> bool {
        match self.stream {
            Stream::Http1(stream) => stream.answer(response).await,
            Stream::Http2(stream) => stream.answer(response),
        }
    }

    /// Sends an interim response: a status of 1xx.
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

    /// Ends what [`begin`](Self::begin) began: an orderly end of the connection (HTTP/1.1) or a reset of the
    /// stream (HTTP/2).
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

    /// Sends the head of the response, its body, and then `chunk` again and again with a pause after each.
    /// Returns when the client has gone.
    pub async fn answer_endlessly(self, response: &Response, chunk: Bytes, pause: Duration) {
        match self.stream {
            Stream::Http1(stream) => stream.answer_endlessly(response, &chunk, pause).await,
            Stream::Http2(stream) => stream.answer_endlessly(response, chunk, pause).await,
        }
    }

    /// Writes these bytes in the place of a response. Returns false if the client has gone.
    ///
    /// # Panics
    /// Over HTTP/2.
    pub async fn write_raw(&mut self, bytes: &[u8]) -> bool {
        match &mut self.stream {
            Stream::Http1(stream) => stream.write_raw(bytes).await,
            Stream::Http2(_) => panic!("raw bytes are for HTTP/1.1 only"),
        }
    }

    /// Waits until the client has reset the stream; returns the reason that it gave.
    ///
    /// # Panics
    /// Over HTTP/1.1.
    pub async fn reset_by_client(self) -> Option<Reason> {
        match self.stream {
            Stream::Http1(_) => panic!("only HTTP/2 resets streams"),
            Stream::Http2(mut stream) => stream.reset_by_client().await,
        }
    }
}
