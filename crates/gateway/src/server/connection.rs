//! Serves one connection over HTTP/1.1, with time limits, until the client or the gateway ends it.

use std::{future::Future, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_util::{io::InspectReader, sync::CancellationToken};

use super::{
    automatic_response::AutomaticResponseFilter,
    head_timer::{HeadTimer, ReceivedMark},
    unreadable_request::{self, UnreadableRequest},
    write_timeout::WriteTimeoutStream,
};
use crate::request_id;

/// The most bytes of a request's head (its request line and headers), and of body data that is buffered before the handler reads it.
const BUFFER_BYTES_MAX: usize = 64 * 1024;

/// The time limits of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timeouts {
    /// How long a connection may be idle after a response.
    pub(super) idle: Duration,
    /// The time limit for the head of a request, from its first byte to the end of its headers. The time of a
    /// connection's first request begins at the accept.
    pub(super) head: Duration,
    /// How long the writes of a response may be blocked because its client reads too slowly. Written bytes extend this time.
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
        // `HeadTimer` shortens this timeout while a head arrives.
        builder
            .header_read_timeout(timeouts.idle)
            .max_buf_size(BUFFER_BYTES_MAX);
        Self {
            builder,
            router,
            timeouts,
            stop,
            abort,
        }
    }

    /// Serves one connection until the client closes it or one of the tokens ends it. `own_stop` closes only this connection,
    /// after its current request.
    pub(super) fn serve(
        &self,
        stream: TcpStream,
        own_stop: Option<CancellationToken>,
    ) -> impl Future<Output = ()> + Send + 'static {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY was not set; responses may be delayed");
        }
        let service = TowerToHyperService::new(self.router.clone());
        let received = ReceivedMark::default();
        let timer = HeadTimer::new(self.timeouts.head, received.clone());
        let stream = WriteTimeoutStream::new(stream, self.timeouts.write);
        let stream = InspectReader::new(stream, move |bytes: &[u8]| received.mark(bytes));
        let io = TokioIo::new(AutomaticResponseFilter::new(stream));
        let mut builder = self.builder.clone();
        let mut serving = builder.timer(timer).serve_connection(io, service);
        let (stop, abort) = (self.stop.clone(), self.abort.clone());
        async move {
            let until_ended = async {
                let stopped = async {
                    match own_stop {
                        Some(own_stop) => tokio::select! {
                            () = own_stop.cancelled() => {}
                            () = stop.cancelled() => {}
                        },
                        None => stop.cancelled().await,
                    }
                };
                let result = tokio::select! {
                    result = &mut serving => result,
                    () = stopped => {
                        std::pin::Pin::new(&mut serving).graceful_shutdown();
                        (&mut serving).await
                    }
                };
                if let Err(error) = result {
                    answer_unreadable(serving.into_parts(), &error).await;
                }
            };
            abort.run_until_cancelled(until_ended).await;
        }
    }
}

/// Sends a response if the connection ended because hyper could not read a request.
async fn answer_unreadable<I, S>(
    parts: http1::Parts<TokioIo<AutomaticResponseFilter<I>>, S>,
    error: &hyper::Error,
) where
    I: AsyncRead + AsyncWrite + Unpin,
{
    // The bytes that could not be read may contain an id, but this id cannot be trusted.
    let request_id = request_id::fresh();
    // The client disconnected, was too slow, or does not speak HTTP.
    tracing::debug!(%request_id, %error, "connection ended with an error");
    let (stream, status) = parts.io.into_inner().into_parts();
    let request = UnreadableRequest {
        error,
        status,
        bytes: &parts.read_buf,
        head_bytes_max: BUFFER_BYTES_MAX,
    };
    if let Some(problem) = request.problem()
        && let Err(error) = unreadable_request::send(stream, problem, &request_id).await
    {
        tracing::debug!(%request_id, %error, "the response to an unreadable request was not sent");
    }
}
