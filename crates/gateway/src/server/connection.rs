//! Serves one connection over HTTP/1.1, with time limits, until the client or the gateway ends it.

use std::{future::Future, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::write_timeout::WriteTimeoutStream;

/// The most bytes of a request's headers, and of body data that is buffered before the handler reads it.
const BUFFER_BYTES_MAX: usize = 64 * 1024;

/// The time limits of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timeouts {
    /// The time limit for a request's headers, and for the idle time before them.
    pub(super) header: Duration,
    /// The time limit for a write while the client reads nothing.
    pub(super) write: Duration,
}

/// Serves connections.
pub(super) struct ConnectionServer {
    builder: http1::Builder,
    router: Router,
    timeouts: Timeouts,
    /// When cancelled, a connection closes after its current request.
    stop: CancellationToken,
    /// When cancelled, a connection closes at once.
    abort: CancellationToken,
}

impl ConnectionServer {
    pub(super) fn new(
        router: Router,
        timeouts: Timeouts,
        stop: CancellationToken,
        abort: CancellationToken,
    ) -> Self {
        let mut builder = http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(timeouts.header)
            .max_buf_size(BUFFER_BYTES_MAX);
        Self {
            builder,
            router,
            timeouts,
            stop,
            abort,
        }
    }

    /// Serves one connection until the client closes it or one of the two tokens ends it.
    pub(super) fn serve(&self, stream: TcpStream) -> impl Future<Output = ()> + Send + 'static {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY was not set; responses may be delayed");
        }
        let service = TowerToHyperService::new(self.router.clone());
        let serving = self.builder.serve_connection(
            TokioIo::new(WriteTimeoutStream::new(stream, self.timeouts.write)),
            service,
        );
        let (stop, abort) = (self.stop.clone(), self.abort.clone());
        async move {
            let until_stopped = async {
                let mut serving = std::pin::pin!(serving);
                tokio::select! {
                    result = &mut serving => result,
                    () = stop.cancelled() => {
                        serving.as_mut().graceful_shutdown();
                        serving.await
                    }
                }
            };
            if let Some(Err(error)) = abort.run_until_cancelled(until_stopped).await {
                // The client disconnected, was too slow, or does not speak HTTP.
                tracing::debug!(%error, "connection ended with an error");
            }
        }
    }
}
