//! One request and the ways to answer it. Most ways work over HTTP/1.1 and HTTP/2.

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
    pub connection_number: usize,
    pub(super) by_version: ExchangeByVersion,
}

/// The exchange over one version of HTTP.
pub(super) enum ExchangeByVersion {
    Http1(Http1Exchange),
    Http2(Http2Exchange),
}

impl Exchange {
    /// Returns when the client has closed the connection (HTTP/1.1) or reset the stream (HTTP/2). The future may be
    /// dropped before that.
    pub async fn wait_for_disconnect(&mut self) {
        match &mut self.by_version {
            ExchangeByVersion::Http1(exchange) => exchange.wait_for_disconnect().await,
            ExchangeByVersion::Http2(exchange) => exchange.wait_for_disconnect().await,
        }
    }

    /// Sends the whole response. Returns false if the write fails because the client has closed the connection or reset
    /// the stream. A write shortly after the client has gone may still succeed.
    pub async fn answer(self, response: &Response) -> bool {
        match self.by_version {
            ExchangeByVersion::Http1(exchange) => exchange.answer(response).await,
            ExchangeByVersion::Http2(exchange) => exchange.answer(response),
        }
    }

    /// Sends an interim response, which has a status of 1xx. Returns false if the client has gone.
    pub async fn send_interim(&mut self, status: u16) -> bool {
        match &mut self.by_version {
            ExchangeByVersion::Http1(exchange) => exchange.send_interim(status).await,
            ExchangeByVersion::Http2(exchange) => exchange.send_interim(status),
        }
    }

    /// Sends the head of the response and the first `body_bytes` of its body. Returns false if the client has
    /// gone.
    pub async fn begin(&mut self, response: &Response, body_bytes: usize) -> bool {
        match &mut self.by_version {
            ExchangeByVersion::Http1(exchange) => exchange.begin(response, body_bytes).await,
            ExchangeByVersion::Http2(exchange) => exchange.begin(response, body_bytes),
        }
    }

    /// Ends the response after [`begin`](Self::begin), before its body is complete: with an orderly end of the connection
    /// (HTTP/1.1) or a reset of the stream (HTTP/2).
    pub async fn cut_off(self) {
        match self.by_version {
            ExchangeByVersion::Http1(exchange) => exchange.cut_off().await,
            ExchangeByVersion::Http2(exchange) => exchange.reset(Reason::INTERNAL_ERROR),
        }
    }

    /// Resets the connection (HTTP/1.1) or the stream with this reason (HTTP/2).
    pub fn reset(self, reason: Reason) {
        match self.by_version {
            ExchangeByVersion::Http1(exchange) => exchange.reset(),
            ExchangeByVersion::Http2(exchange) => exchange.reset(reason),
        }
    }

    /// Sends the head of the response, its body, and then `chunk` repeatedly, with a pause after each.
    /// Returns when the client has gone.
    pub async fn answer_endlessly(self, response: &Response, chunk: Bytes, pause: Duration) {
        match self.by_version {
            ExchangeByVersion::Http1(exchange) => {
                exchange.answer_endlessly(response, &chunk, pause).await;
            }
            ExchangeByVersion::Http2(exchange) => {
                exchange.answer_endlessly(response, chunk, pause).await;
            }
        }
    }

    /// Writes these bytes instead of a response. Returns false if the client has gone.
    ///
    /// # Panics
    /// If the version is HTTP/2.
    pub async fn write_raw(&mut self, bytes: &[u8]) -> bool {
        match &mut self.by_version {
            ExchangeByVersion::Http1(exchange) => exchange.write_raw(bytes).await,
            ExchangeByVersion::Http2(_) => panic!("raw bytes can be written over HTTP/1.1 only"),
        }
    }

    /// Waits until the client has reset the stream, and returns the reason of the reset. Returns `None` if the connection has
    /// ended without a reset.
    ///
    /// # Panics
    /// If the version is HTTP/1.1.
    pub async fn wait_for_reset(self) -> Option<Reason> {
        match self.by_version {
            ExchangeByVersion::Http1(_) => {
                panic!("HTTP/1.1 has no streams that a client could reset")
            }
            ExchangeByVersion::Http2(mut exchange) => exchange.wait_for_reset().await,
        }
    }
}
