//! A provider that misbehaves on purpose: it answers each request with given bytes and then closes, resets,
//! holds or floods the connection.

use std::sync::Arc;

use scripted_provider::http_server::{Exchange, HttpRequest, HttpServer, Reason, Version};
use serde_json::Value;
use tokio::sync::mpsc;

/// What happens to a connection once the bytes are written.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Then {
    /// An orderly end.
    Close,
    /// A reset.
    Reset,
    /// Nothing, until the client closes it.
    Hold,
    /// More and more of a chunked body, until the client closes it.
    Endless,
}

/// A request that the server received.
#[derive(Debug)]
pub(crate) struct Received {
    /// The request line and the headers, in lower case.
    pub(crate) head: String,
    /// The body; `null` if it is not JSON.
    pub(crate) body: Value,
}

/// What the server has seen.
#[derive(Debug)]
pub(crate) enum Seen {
    /// A request arrived.
    Request(Received),
    /// The client closed a held connection.
    Closed,
}

/// A running server. Dropping it closes its port and its connections.
pub(crate) struct Server {
    /// The base URL of the provider.
    pub(crate) base_url: String,
    seen: mpsc::UnboundedReceiver<Seen>,
    _server: HttpServer,
}

impl Server {
    /// Starts a server on a free port.
    pub(crate) async fn start(bytes: impl Into<Vec<u8>>, then: Then) -> Self {
        let bytes: Arc<[u8]> = Arc::from(bytes.into());
        let (report, seen) = mpsc::unbounded_channel();
        let handler = move |exchange| answer(exchange, Arc::clone(&bytes), then, report.clone());
        let server = HttpServer::builder()
            .version(Version::HTTP_11)
            .start(handler)
            .await;
        Self {
            base_url: format!("http://{}/v1", server.address()),
            seen,
            _server: server,
        }
    }

    /// The next thing that the server sees.
    pub(crate) async fn seen(&mut self) -> Seen {
        tokio::time::timeout(std::time::Duration::from_secs(60), self.seen.recv())
            .await
            .expect("nothing came within 60 s")
            .expect("the server runs")
    }

    /// The next request.
    pub(crate) async fn request(&mut self) -> Received {
        match self.seen().await {
            Seen::Request(request) => request,
            Seen::Closed => panic!("the client closed a connection, but a request was expected"),
        }
    }
}

async fn answer(
    mut exchange: Exchange,
    bytes: Arc<[u8]>,
    then: Then,
    report: mpsc::UnboundedSender<Seen>,
) {
    // A send fails only when the test has dropped the server.
    let _ = report.send(Seen::Request(Received::from(&exchange.request)));
    if !exchange.write_raw(&bytes).await {
        return;
    }
    match then {
        Then::Close => exchange.cut_off().await,
        Then::Reset => exchange.reset(Reason::INTERNAL_ERROR),
        Then::Hold => {
            exchange.hung_up().await;
            let _ = report.send(Seen::Closed);
        }
        Then::Endless => {
            let chunk = format!("400\r\n{}\r\n", " ".repeat(0x400));
            while exchange.write_raw(chunk.as_bytes()).await {}
            let _ = report.send(Seen::Closed);
        }
    }
}

impl From<&HttpRequest> for Received {
    fn from(request: &HttpRequest) -> Self {
        let mut head = format!("{} {} HTTP/1.1", request.method, request.target);
        for (name, value) in &request.headers {
            head.push_str(&format!(
                "\n{name}: {}",
                String::from_utf8_lossy(value.as_bytes())
            ));
        }
        Self {
            head: head.to_lowercase(),
            body: serde_json::from_slice(&request.body).unwrap_or_default(),
        }
    }
}
