//! An HTTP/2 server without TLS. It passes each request to the test, and the test answers or refuses the request.

use scripted_provider::http_server::{
    Connections, Exchange, HttpServer, HttpServerBuilder, Reason, Response, Version,
};
use tokio::{sync::mpsc, time::timeout};

use crate::{REPLY, TIMEOUT};

/// A server. It ends when this value is dropped.
pub(crate) struct Server {
    pub(crate) base_url: String,
    http_server: HttpServer,
    requests: mpsc::UnboundedReceiver<Exchange>,
}

impl Server {
    /// Starts a server that permits `streams_max` concurrent streams on a connection.
    pub(crate) async fn start(streams_max: u32) -> Self {
        Self::build(HttpServer::builder().streams_max(streams_max)).await
    }

    /// Like [`Server::start`], but the server never reads the bodies of requests. The test gets each request before its body
    /// has arrived.
    pub(crate) async fn start_without_reading_bodies(streams_max: u32) -> Self {
        let builder = HttpServer::builder().streams_max(streams_max);
        Self::build(builder.without_reading_bodies()).await
    }

    async fn build(builder: HttpServerBuilder) -> Self {
        let (sender, requests) = mpsc::unbounded_channel();
        let forward = move |exchange| {
            // An error means that the test has ended.
            let _ = sender.send(exchange);
            std::future::ready(())
        };
        let http_server = builder.version(Version::HTTP_2).start(forward).await;
        Self {
            base_url: format!("http://{}/v1", http_server.address()),
            http_server,
            requests,
        }
    }

    /// Waits for the next request.
    pub(crate) async fn request(&mut self) -> Exchange {
        timeout(TIMEOUT, self.requests.recv())
            .await
            .expect("a request arrives in time")
            .expect("the server runs")
    }

    /// The connections that clients have opened.
    pub(crate) fn connections(&self) -> &Connections {
        self.http_server.connections()
    }

    /// Closes the open connections in an orderly way (GOAWAY), as a server does before it restarts.
    pub(crate) fn go_away(&self) {
        self.http_server.shut_down_connections();
    }
}

/// A response with the reply.
pub(crate) fn reply() -> Response {
    Response::json(200, REPLY)
}

/// Answers with the reply.
pub(crate) async fn answer(exchange: Exchange) {
    assert!(exchange.answer(&reply()).await, "the client has gone");
}

/// Sends half a response and resets the stream.
pub(crate) async fn cut_off(mut exchange: Exchange) {
    assert!(exchange.begin(&reply(), REPLY.len() / 2).await);
    exchange.cut_off().await;
}

/// Waits until the client resets the stream. Returns the reason of the reset.
pub(crate) async fn reset_by_client(exchange: Exchange) -> Reason {
    let reset = timeout(TIMEOUT, exchange.wait_for_reset()).await;
    reset
        .expect("the client resets the stream in time")
        .expect("the client resets the stream")
}
