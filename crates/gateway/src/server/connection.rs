//! One connection: HTTP/1.1 with a limit on the time for each request's head, ended in order when the
//! gateway stops.

use std::{future::Future, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::stall::StallLimited;

/// The most bytes of a request's head, and of a body that are buffered before the handler takes them.
const BUFFER_BYTES_MAX: usize = 64 * 1024;

/// What a client may take its time for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// A request's head, and the pause before it.
    pub(super) header_read_time: Duration,
    /// Reading nothing of an answer.
    pub(super) write_stall_max: Duration,
}

/// What all connections share.
pub(super) struct Connections {
    builder: http1::Builder,
    router: Router,
    limits: Limits,
    stop: CancellationToken,
    cut: CancellationToken,
}

impl Connections {
    pub(super) fn new(
        router: Router,
        limits: Limits,
        stop: CancellationToken,
        cut: CancellationToken,
    ) -> Self {
        let mut builder = http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(limits.header_read_time)
            .max_buf_size(BUFFER_BYTES_MAX);
        Self {
            builder,
            router,
            limits,
            stop,
            cut,
        }
    }

    /// Serves one connection to its end: the client's, the stop's (after the request under way), or
    /// the cut.
    pub(super) fn serve(&self, stream: TcpStream) -> impl Future<Output = ()> + Send + 'static {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection waits to fill its packets");
        }
        let service = TowerToHyperService::new(self.router.clone());
        let serving = self.builder.serve_connection(
            TokioIo::new(StallLimited::new(stream, self.limits.write_stall_max)),
            service,
        );
        let (stop, cut) = (self.stop.clone(), self.cut.clone());
        async move {
            let whole = async {
                let mut serving = std::pin::pin!(serving);
                tokio::select! {
                    result = &mut serving => result,
                    () = stop.cancelled() => {
                        serving.as_mut().graceful_shutdown();
                        serving.await
                    }
                }
            };
            if let Some(Err(error)) = cut.run_until_cancelled(whole).await {
                // Clients that hang up, are too slow, or do not speak HTTP.
                tracing::debug!(%error, "a connection ended early");
            }
        }
    }
}
