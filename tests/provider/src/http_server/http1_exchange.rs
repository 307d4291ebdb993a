//! The ways to answer a request over HTTP/1.1.

use std::time::Duration;

use tokio::sync::oneshot;

use super::{
    connections::RequestGuard,
    message::Response,
    wire::{Wire, head},
};

/// An unanswered request on an HTTP/1.1 connection. It owns the connection until it has sent a whole answer.
pub(super) struct Http1Exchange {
    pub(super) wire: Wire,
    /// Takes the connection back for the next request; none if the client wants it closed.
    pub(super) next: Option<oneshot::Sender<Wire>>,
    pub(super) _request: RequestGuard,
}

impl Http1Exchange {
    pub(super) async fn hung_up(&mut self) {
        self.wire.hung_up().await;
    }

    pub(super) async fn answer(mut self, response: &Response) -> bool {
        let mut bytes = head_with_length(response);
        bytes.extend_from_slice(&response.body);
        if self.wire.write(&bytes).await.is_err() {
            return false;
        }
        match self.next {
            Some(next) => {
                // An error means that the server has ended.
                let _ = next.send(self.wire);
            }
            None => self.wire.close().await,
        }
        true
    }

    pub(super) async fn interim(&mut self, status: u16) -> bool {
        let bytes = head(status, &[], None);
        self.wire.write(&bytes).await.is_ok()
    }

    pub(super) async fn begin(&mut self, response: &Response, body_bytes: usize) -> bool {
        let mut bytes = head_with_length(response);
        bytes.extend_from_slice(&response.body[..body_bytes]);
        self.wire.write(&bytes).await.is_ok()
    }

    pub(super) async fn close(self) {
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
        let mut bytes = head(response.status, &response.headers, chunked);
        if !response.body.is_empty() {
            bytes.extend(framed(&response.body));
        }
        let chunk = framed(chunk);
        loop {
            if self.wire.write(&bytes).await.is_err() {
                return;
            }
            bytes.clone_from(&chunk);
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.wire.hung_up() => return,
            }
        }
    }

    pub(super) async fn write_raw(&mut self, bytes: &[u8]) -> bool {
        self.wire.write(bytes).await.is_ok()
    }
}

fn head_with_length(response: &Response) -> Vec<u8> {
    let length = format!("content-length: {}", response.body.len());
    head(response.status, &response.headers, Some(&length))
}

/// A chunk of a chunked body (RFC 9112, section 7.1).
fn framed(chunk: &[u8]) -> Vec<u8> {
    let mut bytes = format!("{:x}\r\n", chunk.len()).into_bytes();
    bytes.extend_from_slice(chunk);
    bytes.extend_from_slice(b"\r\n");
    bytes
}
