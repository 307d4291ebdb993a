//! HTTP/1.1: one request after another on a connection.

use std::time::Duration;

use tokio::sync::oneshot;

use super::{
    connections::{ConnectionGuard, RequestGuard},
    exchange::{Exchange, Response, Stream},
    server::{Handler, Shutdown},
    socket::Socket,
    wire::{Wire, head},
};

/// An unanswered request on an HTTP/1.1 connection. It owns the connection until it has sent a whole answer.
pub(super) struct Http1Exchange {
    wire: Wire,
    /// Takes the connection back for the next request; none if the client wants it closed.
    next: Option<oneshot::Sender<Wire>>,
    _request: RequestGuard,
}

/// Serves one connection until either side ends it. Returns an error if what came is not HTTP/1.1.
pub(super) async fn serve(
    socket: Socket,
    connection: ConnectionGuard,
    mut shutdown: Shutdown,
    handler: Handler,
) -> std::io::Result<()> {
    let mut wire = Wire::new(socket);
    loop {
        let read = tokio::select! {
            read = wire.read_request() => read,
            () = shutdown.requested() => {
                wire.close().await;
                return Ok(());
            }
        };
        let (request, keep_alive) = match read {
            Ok(Some(read)) => read,
            Ok(None) => return Ok(()),
            Err(error) => {
                wire.close().await;
                return Err(error);
            }
        };
        let (give_back, next) = oneshot::channel();
        let exchange = Exchange {
            request,
            connection: connection.number(),
            stream: Stream::Http1(Http1Exchange {
                wire,
                next: keep_alive.then_some(give_back),
                _request: connection.request(),
            }),
        };
        // The handler may pass the request on to the test, which answers it later.
        let ((), next) = tokio::join!(handler(exchange), next);
        match next {
            Ok(next) => wire = next,
            Err(_) => return Ok(()),
        }
    }
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
