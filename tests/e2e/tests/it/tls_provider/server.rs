//! An HTTPS provider for tests. It speaks one version of HTTP, counts requests and connections, and answers when the
//! test permits it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::{Request, Response, Version};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, server::conn, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use servers::tls::Certificates;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::connections::{Connection, Connections};

/// The most concurrent streams of an HTTP/2 connection.
pub(crate) const STREAMS_MAX: u32 = 100;

/// The text of every answer.
pub(crate) const ANSWER_TEXT: &str = "over TLS";

/// A server. It and its connections end with this value.
pub(crate) struct Server {
    /// The server's certificate, and the one to trust.
    pub(crate) certificates: Certificates,
    port: u16,
    shared: Arc<Shared>,
    _stop: DropGuard,
}

struct Shared {
    stop: CancellationToken,
    run: Mutex<Run>,
    /// One permit for each answer.
    answers: Semaphore,
    connections: Connections,
}

/// The server between two starts.
#[derive(Clone)]
struct Run {
    number: usize,
    tls: TlsAcceptor,
    ended: CancellationToken,
}

impl Server {
    /// Starts a server that offers only this version (ALPN, RFC 7301).
    pub(crate) async fn start(version: Version) -> Self {
        Self::with(version, Certificates::new().expect("certificates")).await
    }

    /// Starts a server with these certificates.
    pub(crate) async fn with(version: Version, certificates: Certificates) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let stop = CancellationToken::new();
        let shared = Arc::new(Shared {
            run: Mutex::new(Run {
                number: 0,
                tls: acceptor(&certificates, version),
                ended: stop.child_token(),
            }),
            stop: stop.clone(),
            answers: Semaphore::new(0),
            connections: Connections::new(),
        });
        let accept = accept(listener, Arc::clone(&shared));
        tokio::spawn(stop.clone().run_until_cancelled_owned(accept));
        Self {
            certificates,
            port,
            shared,
            _stop: stop.drop_guard(),
        }
    }

    /// The base URL, for `OPENAI_BASE_URL`.
    pub(crate) fn base_url(&self) -> String {
        format!("https://localhost:{}/v1", self.port)
    }

    /// The file with the certificate to trust.
    pub(crate) fn ca_file(&self) -> String {
        self.certificates.ca_file().display().to_string()
    }

    /// Closes all connections at once and offers this version from now on. The port stays open, so that no other process
    /// can take it.
    pub(crate) fn restart(&self, version: Version) {
        let mut run = self.shared.run();
        run.ended.cancel();
        *run = Run {
            number: run.number + 1,
            tls: acceptor(&self.certificates, version),
            ended: self.shared.stop.child_token(),
        };
    }

    /// Permits `count` answers, to waiting requests first and then to later ones.
    pub(crate) fn answer(&self, count: usize) {
        self.shared.answers.add_permits(count);
    }

    /// Waits until `count` requests wait for answers, and returns the connections since the last start.
    pub(crate) async fn waiting(&self, count: usize) -> Vec<Connection> {
        let run = self.shared.run().number;
        self.shared.connections.waiting(run, count).await
    }

    /// All connections since the first start.
    pub(crate) fn connections(&self) -> Vec<Connection> {
        self.shared.connections.all()
    }
}

impl Shared {
    fn run(&self) -> MutexGuard<'_, Run> {
        self.run.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn acceptor(certificates: &Certificates, version: Version) -> TlsAcceptor {
    let chain = CertificateDer::pem_file_iter(certificates.certificate_file());
    let chain = chain.expect("a file").collect::<Result<Vec<_>, _>>();
    let key = PrivateKeyDer::from_pem_file(certificates.key_file()).expect("a key");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions of TLS")
        .with_no_client_auth()
        .with_single_cert(chain.expect("certificates"), key)
        .expect("a certificate with its key");
    let offered: &[u8] = if version == Version::HTTP_2 {
        b"h2"
    } else {
        b"http/1.1"
    };
    config.alpn_protocols = vec![offered.to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept().await {
        let run = shared.run().clone();
        let ended = run.ended.clone();
        tokio::spawn(ended.run_until_cancelled_owned(serve(stream, run, Arc::clone(&shared))));
    }
}

async fn serve(stream: TcpStream, run: Run, shared: Arc<Shared>) {
    // A client that does not trust the certificate fails here.
    let Ok(stream) = run.tls.accept(stream).await else {
        return;
    };
    let version = match stream.get_ref().1.alpn_protocol() {
        Some(b"h2") => Version::HTTP_2,
        _ => Version::HTTP_11,
    };
    let number = shared.connections.add(run.number, version);
    let service = service_fn(move |request| {
        let answered = answer(request, number, Arc::clone(&shared));
        let ended = run.ended.clone();
        async move {
            let answered = ended.run_until_cancelled_owned(answered).await;
            answered.unwrap_or_else(|| Err(anyhow::anyhow!("the server restarts")))
        }
    });
    let stream = TokioIo::new(stream);
    // An error means that the client has closed the connection.
    let _ = if version == Version::HTTP_2 {
        let mut server = conn::http2::Builder::new(TokioExecutor::new());
        server.max_concurrent_streams(STREAMS_MAX);
        server.serve_connection(stream, service).await
    } else {
        let server = conn::http1::Builder::new();
        server.serve_connection(stream, service).await
    };
}

async fn answer(
    request: Request<Incoming>,
    number: usize,
    shared: Arc<Shared>,
) -> anyhow::Result<Response<Full<Bytes>>> {
    request.into_body().collect().await?;
    let waiting = shared.connections.begin_request(number);
    shared.answers.acquire().await?.forget();
    drop(waiting);
    let reply = serde_json::json!({
        "id": "r",
        "choices": [{
            "message": { "role": "assistant", "content": ANSWER_TEXT },
            "finish_reason": "stop",
        }],
    });
    let answer = Response::builder().header("content-type", "application/json");
    Ok(answer.body(Full::from(reply.to_string()))?)
}
