//! An HTTPS provider for tests. It speaks one version of HTTP, and it answers when the test permits an answer.

use std::sync::Arc;

use scripted_provider::http_server::{
    Connection, Connections, Exchange, HttpServer, Response, Version,
};
use servers::tls::Certificates;
use tokio::sync::Semaphore;

/// The most concurrent streams of an HTTP/2 connection.
pub(crate) const STREAMS_MAX: u32 = 100;

/// The text of every answer.
pub(crate) const ANSWER_TEXT: &str = "over TLS";

/// The server. Dropping it closes its port and its connections.
pub(crate) struct Server {
    certificates: Certificates,
    http_server: HttpServer,
    /// One permit for each answer.
    answers: Arc<Semaphore>,
}

impl Server {
    /// Starts a server that offers only this version (ALPN, RFC 7301).
    pub(crate) async fn start(version: Version) -> Self {
        Self::with(
            version,
            Certificates::new().expect("the certificates are made"),
        )
        .await
    }

    /// Starts a server with these certificates.
    pub(crate) async fn with(version: Version, certificates: Certificates) -> Self {
        let answers = Arc::new(Semaphore::new(0));
        let permits = Arc::clone(&answers);
        let http_server = HttpServer::builder()
            .version(version)
            .streams_max(STREAMS_MAX)
            .tls(&certificates.certificate_file(), &certificates.key_file())
            .start(move |exchange| answer(exchange, Arc::clone(&permits)))
            .await;
        Self {
            certificates,
            http_server,
            answers,
        }
    }

    /// The base URL, for `OPENAI_BASE_URL`.
    pub(crate) fn base_url(&self) -> String {
        format!("https://localhost:{}/v1", self.http_server.address().port())
    }

    /// The file with the certificate that clients must trust.
    pub(crate) fn ca_file(&self) -> String {
        self.certificates.ca_file().display().to_string()
    }

    /// Closes all connections, and offers only this version from now on. Returns when the connections are closed.
    pub(crate) async fn restart(&self, version: Version) {
        let count = self.connections().count();
        self.http_server.restart(version);
        let old_are_closed = |connections: &[Connection]| {
            connections[..count]
                .iter()
                .all(|connection| connection.is_closed)
        };
        self.connections()
            .wait_for("the end of the old connections", old_are_closed)
            .await;
    }

    /// Permits `count` answers: first to the requests that wait, then to later requests.
    pub(crate) fn permit_answers(&self, count: usize) {
        self.answers.add_permits(count);
    }

    /// Waits until exactly `count` requests have no answer, and returns the open connections.
    pub(crate) async fn wait_for_unanswered(&self, count: usize) -> Vec<Connection> {
        self.connections().wait_for_unanswered(count).await
    }

    /// The connections since the start. A connection counts when its handshake is complete.
    pub(crate) fn connections(&self) -> &Connections {
        self.http_server.connections()
    }
}

async fn answer(exchange: Exchange, answers: Arc<Semaphore>) {
    answers
        .acquire()
        .await
        .expect("the semaphore is never closed")
        .forget();
    let reply = serde_json::json!({
        "id": "r",
        "choices": [{
            "message": { "role": "assistant", "content": ANSWER_TEXT },
            "finish_reason": "stop",
        }],
    });
    // The server does not check whether the client got the answer, because the job's result shows this.
    exchange
        .answer(&Response::json(200, reply.to_string()))
        .await;
}
