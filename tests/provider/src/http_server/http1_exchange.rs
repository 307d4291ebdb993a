//! The ways to answer a request over HTTP/1.1. `Exchange` documents these methods.

use std::time::Duration;

use tokio::sync::oneshot;

use super::{
    connections::RequestGuard,
    message::Response,
    wire::{Wire, response_head},
};

/// A request on an HTTP/1.1 connection. It owns the connection until the whole response is sent.
pub(super) struct Http1Exchange {
    pub(super) wire: Wire,
    /// Returns the connection to the server for the next request; `None` if the connection is closed after the response.
    pub(super) return_wire: Option<oneshot::Sender<Wire>>,
    pub(super) _request_guard: RequestGuard,
}

impl Http1Exchange {
    pub(super) async fn wait_for_disconnect(&mut self) {
        self.wire.wait_for_disconnect().await;
    }

    pub(super) async fn answer(mut self, response: &Response) -> bool {
        let mut bytes = head_with_length(response);
        bytes.extend_from_slice(&response.body);
        if self.wire.write(&bytes).await.is_err() {
            return false;
        }
        match self.return_wire {
            Some(return_wire) => {
                // An error means that the server has ended.
                let _ = return_wire.send(self.wire);
            }
            None => self.wire.close().await,
        }
        true
    }

    pub(super) async fn send_interim(&mut self, status: u16) -> bool {
        let bytes = response_head(status, &[], None);
        self.wire.write(&bytes).await.is_ok()
    }

    pub(super) async fn begin(&mut self, response: &Response, body_bytes: usize) -> bool {
        let mut bytes = head_with_length(response);
        bytes.extend_from_slice(&response.body[..body_bytes]);
        self.wire.write(&bytes).await.is_ok()
    }

    pub(super) async fn cut_off(self) {
        self.wire.close().await;
    }

    pub(super) fn reset(self) {
        self.wire.reset();
    }

    pub(super) async fn answer_endlessly(
        mut self,
        response: &Response,
        chunk: &[u8],
        pause: Duration,
    ) {
        let chunked = Some("transfer-encoding: chunked");
        let mut bytes = response_head(response.status, &response.headers, chunked);
        if !response.body.is_empty() {
            bytes.extend(encode_chunk(&response.body));
        }
        let chunk = encode_chunk(chunk);
        loop {
            if self.wire.write(&bytes).await.is_err() {
                return;
            }
            bytes.clone_from(&chunk);
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.wire.wait_for_disconnect() => return,
            }
        }
    }

    pub(super) async fn write_raw(&mut self, bytes: &[u8]) -> bool {
        self.wire.write(bytes).await.is_ok()
    }
}

fn head_with_length(response: &Response) -> Vec<u8> {
    let length = format!("content-length: {}", response.body.len());
    response_head(response.status, &response.headers, Some(&length))
}

/// Encodes a chunk of a chunked body (RFC 9112, section 7.1).
fn encode_chunk(chunk: &[u8]) -> Vec<u8> {
    let mut bytes = format!("{:x}\r\n", chunk.len()).into_bytes();
    bytes.extend_from_slice(chunk);
    bytes.extend_from_slice(b"\r\n");
    bytes
}
