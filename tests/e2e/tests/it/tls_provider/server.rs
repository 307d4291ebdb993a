//! An HTTPS provider of the test's own: it speaks what it is told to, counts what comes on each connection, and
//! answers when the test lets it.

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

/// How many requests at a time a connection takes over HTTP/2.
pub(crate) const STREAMS_MAX: u32 = 100;

/// What every answer says.
pub(crate) const SAID: &str = "over TLS";

/// A server; it and its connections end with the value.
pub(crate) struct Server {
    /// The authority of its certificate, and the certificate.
    pub(crate) certificates: Certificates,
    port: u16,
    shared: Arc<Shared>,
    _stop: DropGuard,
}

struct Shared {
    stop: CancellationToken,
    life: Mutex<Life>,
    /// One permit for each answer.
    answers: Semaphore,
    connections: Connections,
}

/// The server from one start to the next.
#[derive(Clone)]
struct Life {
    number: usize,
    tls: TlsAcceptor,
    over: CancellationToken,
}

impl Server {
    /// Starts a server that offers this version alone (ALPN, RFC 7301).
    pub(crate) async fn start(version: Version) -> Self {
        let certificates = Certificates::new().expect("certificates");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let stop = CancellationToken::new();
        let shared = Arc::new(Shared {
            life: Mutex::new(Life {
                number: 0,
                tls: acceptor(&certificates, version),
                over: stop.child_token(),
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

    /// What `OPENAI_BASE_URL` should say.
    pub(crate) fn base_url(&self) -> String {
        format!("https://localhost:{}/v1", self.port)
    }

    /// What `SSL_CERT_FILE` should say.
    pub(crate) fn ca_file(&self) -> String {
        self.certificates.ca_file().display().to_string()
    }

    /// Ends all connections as they are, and offers this version from now on. The port stays open meanwhile, so
    /// that nobody else can take it.
    pub(crate) fn restart(&self, version: Version) {
        let mut life = self.shared.life();
        life.over.cancel();
        *life = Life {
            number: life.number + 1,
            tls: acceptor(&self.certificates, version),
            over: self.shared.stop.child_token(),
        };
    }

    /// Answers so many requests: those that wait, then those that come.
    pub(crate) fn answer(&self, count: usize) {
        self.shared.answers.add_permits(count);
    }

    /// Waits until so many requests wait for their answers; returns the connections since the last start.
    pub(crate) async fn waiting(&self, count: usize) -> Vec<Connection> {
        let life = self.shared.life().number;
        self.shared.connections.waiting(life, count).await
    }

    /// All connections there ever were.
    pub(crate) fn connections(&self) -> Vec<Connection> {
        self.shared.connections.all()
    }
}

impl Shared {
    fn life(&self) -> MutexGuard<'_, Life> {
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
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
        let life = shared.life().clone();
        let over = life.over.clone();
        tokio::spawn(over.run_until_cancelled_owned(serve(stream, life, Arc::clone(&shared))));
    }
}

async fn serve(stream: TcpStream, life: Life, shared: Arc<Shared>) {
    // A client that does not know the authority ends here.
    let Ok(stream) = life.tls.accept(stream).await else {
        return;
    };
    let version = match stream.get_ref().1.alpn_protocol() {
        Some(b"h2") => Version::HTTP_2,
        _ => Version::HTTP_11,
    };
    let number = shared.connections.made(life.number, version);
    let service = service_fn(move |request| {
        let answered = answer(request, number, Arc::clone(&shared));
        let over = life.over.clone();
        async move {
            let answered = over.run_until_cancelled_owned(answered).await;
            answered.unwrap_or_else(|| Err(anyhow::anyhow!("the server restarts")))
        }
    });
    let stream = TokioIo::new(stream);
    // How a connection ends is the client's affair.
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
    let waiting = shared.connections.asked(number);
    shared.answers.acquire().await?.forget();
    drop(waiting);
    let reply = serde_json::json!({
        "id": "r",
        "choices": [{
            "message": { "role": "assistant", "content": SAID },
            "finish_reason": "stop",
        }],
    });
    let answer = Response::builder().header("content-type", "application/json");
    Ok(answer.body(Full::from(reply.to_string()))?)
}
