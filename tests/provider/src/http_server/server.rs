//! The server: the versions of HTTP that it offers, and the end of its connections.

use std::{
    io,
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use http::Version;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    connections::Connections,
    exchange::Exchange,
    handler::{Handler, Shutdown},
    http1,
    http2::{self, Http2Settings},
    port::Port,
    socket::{self, Identity},
};

/// The most connections open at the same time. Further connections wait until the server accepts them.
const CONNECTIONS_MAX: usize = 20_000;
/// The number of streams that large providers allow on an HTTP/2 connection.
const STREAMS_MAX: u32 = 100;
/// The most descriptions of malformed requests that are kept.
const MALFORMED_MAX: usize = 1_000;

/// A running server. Dropping it closes its port and all its connections.
pub struct HttpServer {
    port: Port,
    /// Accepts connections; `None` while the server does not listen.
    accepting: tokio::sync::Mutex<Option<JoinHandle<Option<()>>>>,
    shared: Arc<Shared>,
    _stop: DropGuard,
}

/// A server that is not started yet.
#[must_use = "nothing listens before `start`"]
pub struct HttpServerBuilder {
    versions: Vec<Version>,
    http2: Http2Settings,
    identity: Option<Identity>,
}

struct Shared {
    connections: Connections,
    http2: Http2Settings,
    identity: Option<Identity>,
    /// The settings of new connections.
    connection_settings: Mutex<ConnectionSettings>,
    shutdown: watch::Sender<()>,
    malformed: Mutex<Vec<String>>,
    stop: CancellationToken,
    handler: Handler,
}

/// The settings of the connections that a server accepts until the next call of [`HttpServer::restart`].
#[derive(Clone)]
struct ConnectionSettings {
    versions: Vec<Version>,
    tls: Option<TlsAcceptor>,
    /// Closes these connections.
    end: CancellationToken,
}

impl HttpServerBuilder {
    /// Offers this version of HTTP only.
    pub fn version(mut self, version: Version) -> Self {
        self.versions = vec![version];
        self
    }

    /// Sets how many streams an HTTP/2 connection may have at a time; 100 by default.
    pub fn streams_max(mut self, streams_max: u32) -> Self {
        self.http2.streams_max = streams_max;
        self
    }

    /// Gives HTTP/2 requests to the handler before their bodies have arrived, and never reads the bodies.
    pub fn without_reading_bodies(mut self) -> Self {
        self.http2.reads_bodies = false;
        self
    }

    /// Serves over TLS with the certificate chain and the key of these PEM files.
    ///
    /// # Panics
    /// If the files cannot be read.
    pub fn tls(mut self, chain: &Path, key: &Path) -> Self {
        self.identity = Some(Identity::read(chain, key));
        self
    }

    /// Opens a free port and serves on it in this runtime. `handler` gets each request.
    ///
    /// # Errors
    /// If no port can be opened.
    pub async fn try_start<F, Fut>(self, handler: F) -> io::Result<HttpServer>
    where
        F: Fn(Exchange) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let port = Port::reserve()?;
        let listener = port.listen()?;
        let stop = CancellationToken::new();
        let shared = Arc::new(Shared {
            connections: Connections::default(),
            http2: self.http2,
            connection_settings: Mutex::new(ConnectionSettings {
                tls: acceptor(self.identity.as_ref(), &self.versions),
                versions: self.versions,
                end: stop.child_token(),
            }),
            identity: self.identity,
            shutdown: watch::Sender::new(()),
            malformed: Mutex::default(),
            stop: stop.clone(),
            handler: Arc::new(move |exchange| Box::pin(handler(exchange))),
        });
        Ok(HttpServer {
            port,
            accepting: tokio::sync::Mutex::new(Some(spawn_accept(listener, &shared))),
            shared,
            _stop: stop.drop_guard(),
        })
    }

    /// Does the same as [`try_start`](Self::try_start), and panics on an error.
    ///
    /// # Panics
    /// If no port can be opened.
    pub async fn start<F, Fut>(self, handler: F) -> HttpServer
    where
        F: Fn(Exchange) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.try_start(handler)
            .await
            .expect("the server opens a free port")
    }
}

impl HttpServer {
    /// A builder of a server on 127.0.0.1 without TLS that offers HTTP/1.1 and HTTP/2.
    pub fn builder() -> HttpServerBuilder {
        HttpServerBuilder {
            versions: vec![Version::HTTP_2, Version::HTTP_11],
            http2: Http2Settings {
                streams_max: STREAMS_MAX,
                reads_bodies: true,
            },
            identity: None,
        }
    }

    /// The address at which the server listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// The server's connections so far.
    #[must_use]
    pub fn connections(&self) -> &Connections {
        &self.shared.connections
    }

    /// One description for each connection whose bytes were not HTTP, or on which reading failed.
    #[must_use]
    pub fn malformed(&self) -> Vec<String> {
        lock(&self.shared.malformed).clone()
    }

    /// Ends all connections in an orderly way, as a restarting server does. Idle HTTP/1.1 connections are closed, and
    /// HTTP/2 connections get a GOAWAY. Requests that have arrived can still be answered.
    pub fn shut_down_connections(&self) {
        self.shared.shutdown.send_replace(());
    }

    /// Closes all connections at once. From now on the server offers only this version of HTTP. The port stays open, so no
    /// other process can take it.
    pub fn restart(&self, version: Version) {
        let mut settings = self.shared.connection_settings();
        settings.end.cancel();
        *settings = ConnectionSettings {
            tls: acceptor(self.shared.identity.as_ref(), &[version]),
            versions: vec![version],
            end: self.shared.stop.child_token(),
        };
    }

    /// Closes the port and all connections at once. From now on connections are refused. Returns when the port is
    /// closed. No other process can take the port.
    pub async fn stop_listening(&self) {
        let accepting = self.accepting.lock().await.take();
        if let Some(accepting) = accepting {
            accepting.abort();
            // The task was aborted, so its result is of no interest.
            let _ = accepting.await;
        }
    }

    /// Opens the port again. Does nothing if the server listens.
    ///
    /// # Panics
    /// If the port cannot be opened.
    pub async fn listen_again(&self) {
        let mut accepting = self.accepting.lock().await;
        if accepting.is_none() {
            let listener = self.port.listen().expect("the port can be opened again");
            *accepting = Some(spawn_accept(listener, &self.shared));
        }
    }
}

fn spawn_accept(listener: TcpListener, shared: &Arc<Shared>) -> JoinHandle<Option<()>> {
    let accept = accept(listener, Arc::clone(shared));
    tokio::spawn(shared.stop.clone().run_until_cancelled_owned(accept))
}

fn acceptor(identity: Option<&Identity>, versions: &[Version]) -> Option<TlsAcceptor> {
    identity.map(|identity| identity.acceptor(versions))
}

/// Accepts connections. Dropping the future closes all of them.
async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if connections.len() < CONNECTIONS_MAX => {
                // An error concerns this connection only, and its client sees the error.
                if let Ok((stream, _)) = accepted {
                    let settings = shared.connection_settings().clone();
                    let end = settings.end.clone();
                    let serve = serve(stream, settings, Arc::clone(&shared));
                    connections.spawn(end.run_until_cancelled_owned(serve));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(stream: TcpStream, settings: ConnectionSettings, shared: Arc<Shared>) {
    let shutdown = Shutdown(shared.shutdown.subscribe());
    let accepted = socket::accept(stream, settings.tls.as_ref(), &settings.versions).await;
    // An error means that the client closed the connection, or does not trust the certificate.
    let Ok((socket, version)) = accepted else {
        return;
    };
    let connection = shared.connections.add(version);
    let handler = Arc::clone(&shared.handler);
    let served = if version == Version::HTTP_2 {
        http2::serve(socket, shared.http2, connection, shutdown, handler).await
    } else {
        http1::serve(socket, connection, shutdown, handler).await
    };
    if let Err(error) = served {
        let mut malformed = lock(&shared.malformed);
        if malformed.len() < MALFORMED_MAX {
            malformed.push(format!("a client did not send valid {version:?}: {error}"));
        }
    }
}

impl Shared {
    fn connection_settings(&self) -> MutexGuard<'_, ConnectionSettings> {
        lock(&self.connection_settings)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
