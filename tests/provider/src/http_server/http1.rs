//! HTTP/1.1: one request after another on a connection.

use tokio::sync::oneshot;

use super::{
    connections::ConnectionGuard,
    exchange::{Exchange, ExchangeByVersion},
    handler::{Handler, Shutdown},
    http1_exchange::Http1Exchange,
    socket::Socket,
    wire::Wire,
};

/// Serves one connection until either side ends it. Returns an error if the client's bytes are not HTTP/1.1, or if reading
/// them fails.
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
            () = shutdown.wait() => {
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
        let (return_wire, returned_wire) = oneshot::channel();
        let exchange = Exchange {
            request,
            connection_number: connection.number(),
            by_version: ExchangeByVersion::Http1(Http1Exchange {
                wire,
                return_wire: keep_alive.then_some(return_wire),
                _request_guard: connection.count_request(),
            }),
        };
        // The handler may return before the response is sent: a test may keep the exchange and answer later.
        let ((), returned) = tokio::join!(handler(exchange), returned_wire);
        match returned {
            Ok(returned) => wire = returned,
            Err(_) => return Ok(()),
        }
    }
}
