//! HTTP/1.1: one request after another on a connection.

use tokio::sync::oneshot;

use super::{
    connections::ConnectionGuard,
    exchange::{Exchange, Stream},
    handler::{Handler, Shutdown},
    http1_exchange::Http1Exchange,
    socket::Socket,
    wire::Wire,
};

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
