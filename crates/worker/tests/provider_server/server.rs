//! A server with faults. It answers each request with the bytes that the test sets. Then it closes, resets or holds the
//! connection, or sends an endless body.

use std::sync::Arc;

use scripted_provider::http_server::{Exchange, HttpRequest, HttpServer, Reason, Version};
use serde_json::Value;
use tokio::sync::mpsc;

/// What happens to a connection after the bytes are written.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ending {
    /// The server closes the connection.
    Close,
    /// The server resets the connection.
    Reset,
    /// The server sends nothing more, and waits until the client closes the connection.
    Hold,
    /// The server sends chunks of a body until the client closes the connection.
    Endless,
}

/// A request that the server received.
#[derive(Debug)]
pub(crate) struct Received {
    /// The request line and the headers, in lower case.
    pub(crate) header_text: String,
    /// The body; `null` if it is not JSON.
    pub(crate) body: Value,
}

/// What the server reports to the test.
#[derive(Debug)]
pub(crate) enum ServerEvent {
    /// A request arrived.
    Request(Received),
    /// The client closed a connection with the ending [`Ending::Hold`] or [`Ending::Endless`].
    Closed,
}

/// A running server. Dropping it closes its port and its connections.
pub(crate) struct Server {
    /// The base URL of the provider.
    pub(crate) base_url: String,
    events: mpsc::UnboundedReceiver<ServerEvent>,
    _server: HttpServer,
}

impl Server {
    /// Starts a server on a free port.
    pub(crate) async fn start(bytes: impl Into<Vec<u8>>, ending: Ending) -> Self {
        let bytes: Arc<[u8]> = Arc::from(bytes.into());
        let (report, events) = mpsc::unbounded_channel();
        let handler = move |exchange| answer(exchange, Arc::clone(&bytes), ending, report.clone());
        let server = HttpServer::builder()
            .version(Version::HTTP_11)
            .start(handler)
            .await;
        Self {
            base_url: format!("http://{}/v1", server.address()),
            events,
            _server: server,
        }
    }

    /// The next event.
    pub(crate) async fn next_event(&mut self) -> ServerEvent {
        tokio::time::timeout(std::time::Duration::from_secs(60), self.events.recv())
            .await
            .expect("an event within 60 s")
            .expect("the server runs")
    }

    /// The next request.
    pub(crate) async fn request(&mut self) -> Received {
        match self.next_event().await {
            ServerEvent::Request(request) => request,
            ServerEvent::Closed => {
                panic!("the client closed a connection, but a request was expected")
            }
        }
    }
}

async fn answer(
    mut exchange: Exchange,
    bytes: Arc<[u8]>,
    ending: Ending,
    report: mpsc::UnboundedSender<ServerEvent>,
) {
    // A send fails only when the test has dropped the server.
    let _ = report.send(ServerEvent::Request(Received::from(&exchange.request)));
    if !exchange.write_raw(&bytes).await {
        return;
    }
    match ending {
        Ending::Close => exchange.cut_off().await,
        Ending::Reset => exchange.reset(Reason::INTERNAL_ERROR),
        Ending::Hold => {
            exchange.wait_for_disconnect().await;
            let _ = report.send(ServerEvent::Closed);
        }
        Ending::Endless => {
            let chunk = format!("400\r\n{}\r\n", " ".repeat(0x400));
            while exchange.write_raw(chunk.as_bytes()).await {}
            let _ = report.send(ServerEvent::Closed);
        }
    }
}

impl From<&HttpRequest> for Received {
    fn from(request: &HttpRequest) -> Self {
        let mut header_text = format!("{} {} HTTP/1.1", request.method, request.target);
        for (name, value) in &request.headers {
            header_text.push_str(&format!(
                "\n{name}: {}",
                String::from_utf8_lossy(value.as_bytes())
            ));
        }
        Self {
            header_text: header_text.to_lowercase(),
            body: serde_json::from_slice(&request.body).unwrap_or_default(),
        }
    }
}
