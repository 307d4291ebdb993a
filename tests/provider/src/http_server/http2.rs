//! HTTP/2: many requests at a time on a connection, each on a stream of its own.

use std::io;

use bytes::Bytes;
use h2::{RecvStream, server::Builder};
use http::{Request, Version};
use tokio::task::JoinSet;

use super::{
    connections::ConnectionGuard,
    exchange::{Exchange, ExchangeByVersion},
    handler::{Handler, Shutdown},
    http2_exchange::Http2Exchange,
    message::HttpRequest,
    socket::Socket,
};

/// The settings of all HTTP/2 connections of a server.
#[derive(Clone, Copy)]
pub(super) struct Http2Settings {
    /// The most streams of a connection at a time.
    pub(super) streams_max: u32,
    /// Whether the server reads the whole body before it passes the request to the handler. Otherwise the handler gets the
    /// request at once, and the body is never read.
    pub(super) reads_bodies: bool,
}

/// Serves one connection until either side ends it. Returns an error only if the handshake of HTTP/2 fails.
pub(super) async fn serve(
    socket: Socket,
    settings: Http2Settings,
    connection: ConnectionGuard,
    mut shutdown: Shutdown,
    handler: Handler,
) -> io::Result<()> {
    let mut builder = Builder::new();
    builder.max_concurrent_streams(settings.streams_max);
    let mut h2_connection = builder
        .handshake::<_, Bytes>(socket)
        .await
        .map_err(io::Error::other)?;
    let mut exchanges = JoinSet::new();
    let mut is_ending = false;
    loop {
        let accepted = tokio::select! {
            accepted = h2_connection.accept() => accepted,
            () = shutdown.wait(), if !is_ending => {
                h2_connection.graceful_shutdown();
                is_ending = true;
                continue;
            }
            Some(_) = exchanges.join_next() => continue,
        };
        // `None` or an error means that the connection has ended.
        let Some(Ok((request, respond))) = accepted else {
            return Ok(());
        };
        let connection_number = connection.number();
        let by_version = ExchangeByVersion::Http2(Http2Exchange {
            respond,
            body: None,
            _request_guard: connection.count_request(),
        });
        let handler = Handler::clone(&handler);
        exchanges.spawn(async move {
            // An error means that the client reset the stream before the end of its request.
            if let Ok(request) = read_request(request, settings.reads_bodies).await {
                let exchange = Exchange {
                    request,
                    connection_number,
                    by_version,
                };
                handler(exchange).await;
            }
        });
    }
}

/// Reads the request; its body only if `reads_body` is true.
async fn read_request(
    request: Request<RecvStream>,
    reads_body: bool,
) -> Result<HttpRequest, h2::Error> {
    let (head, mut stream) = request.into_parts();
    let mut body = Vec::new();
    if reads_body {
        while let Some(data) = stream.data().await {
            let data = data?;
            stream.flow_control().release_capacity(data.len())?;
            body.extend_from_slice(&data);
        }
    }
    let target = head.uri.path_and_query();
    Ok(HttpRequest {
        version: Version::HTTP_2,
        method: head.method.to_string(),
        target: target.map_or_else(String::new, ToString::to_string),
        headers: head.headers,
        body,
    })
}
