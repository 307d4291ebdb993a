//! How a provider's host is reached: directly or through the proxy that the environment names, with TLS or
//! without. What comes out is a stream of bytes, and whether HTTP/2 was agreed on in the TLS handshake (ALPN).

use std::{pin::Pin, sync::Arc, time::Duration};

use http::{HeaderValue, Uri, uri::Scheme};
use hyper::rt::{Read, Write};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::{
    legacy::connect::{Connection, HttpConnector, dns::GaiResolver, proxy::Tunnel},
    proxy::matcher::Matcher,
};
use tower::{Service, ServiceExt as _};

/// After so long without a byte in either direction the peer is asked whether it still is there, and again as
/// often until the connection is given up.
const TCP_KEEPALIVE: Duration = Duration::from_secs(15);
const TCP_KEEPALIVE_RETRIES: u32 = 3;

/// After so long without a sign that anything of what was sent has arrived, a connection is given up (RFC 5482). While
/// something is on its way the peer is not asked as above, so a request to a peer that is gone would wait for its
/// answer as long as a model may think. Not shorter than the questions above take in all, whose number this overrides.
#[cfg(any(target_os = "android", target_os = "linux"))]
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(60);

/// A stream to speak HTTP on.
pub(super) trait Stream: Read + Write + Send + Unpin {}
impl<T: Read + Write + Send + Unpin> Stream for T {}

/// A stream that was just opened.
pub(super) struct Dialled {
    pub(super) stream: Box<dyn Stream>,
    /// Whether the TLS handshake agreed on HTTP/2.
    pub(super) is_http2: bool,
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Dialling = Pin<Box<dyn Future<Output = Result<Dialled, BoxError>> + Send>>;

/// Opens streams to one host.
pub(super) struct Dialler {
    dial: Box<dyn Fn() -> Dialling + Send + Sync>,
    /// Requests name the whole URL and carry this, for a proxy that passes them on.
    pub(super) forwarded: Option<Forwarded>,
}

/// A proxy that requests are passed on by, and what they carry for it.
#[derive(Clone, Debug)]
pub(super) struct Forwarded {
    /// Its host and port.
    pub(super) proxy: String,
    pub(super) authorization: Option<HeaderValue>,
}

impl Dialler {
    /// A dialler to the host of `target`, through the proxy that `proxies` names for it, if any. `connect_ms` is what
    /// the caller lets a dial take; of several addresses each has its share of that.
    ///
    /// # Errors
    /// When the TLS library finds no usable certificates.
    pub(super) fn new(target: &Uri, proxies: &Matcher, connect_ms: u64) -> std::io::Result<Self> {
        let is_tls = target.scheme() == Some(&Scheme::HTTPS);
        let tcp = tcp(GaiResolver::new(), connect_ms);
        let Some(proxy) = proxies.intercept(target) else {
            return Ok(if is_tls {
                Self::direct(tls(tcp, Alpn::Any)?, target)
            } else {
                Self::direct(tcp, target)
            });
        };
        let authorization = proxy.basic_auth().cloned();
        // TLS is set up only where it is spoken, for it needs certificates, which a bare machine may not have.
        let is_tls_to_proxy = proxy.uri().scheme() == Some(&Scheme::HTTPS);
        if is_tls {
            return Ok(if is_tls_to_proxy {
                let to_proxy = tls(tcp, Alpn::Http1)?;
                let tunnel = tunnel(proxy.uri(), to_proxy, authorization);
                Self::direct(tls(tunnel, Alpn::Any)?, target)
            } else {
                let tunnel = tunnel(proxy.uri(), tcp, authorization);
                Self::direct(tls(tunnel, Alpn::Any)?, target)
            });
        }
        let to_proxy = if is_tls_to_proxy {
            Self::direct(tls(tcp, Alpn::Http1)?, proxy.uri())
        } else {
            Self::direct(tcp, proxy.uri())
        };
        let authority = proxy.uri().authority();
        Ok(Self {
            forwarded: Some(Forwarded {
                proxy: authority.map(ToString::to_string).unwrap_or_default(),
                authorization,
            }),
            ..to_proxy
        })
    }

    fn direct<C>(connector: C, to: &Uri) -> Self
    where
        C: Service<Uri> + Clone + Send + Sync + 'static,
        C::Response: Connection + Stream + 'static,
        C::Error: Into<BoxError>,
        C::Future: Send,
    {
        let to = to.clone();
        let dial = move || -> Dialling {
            let opened = connector.clone().oneshot(to.clone());
            Box::pin(async move {
                let stream = opened.await.map_err(Into::into)?;
                Ok(Dialled {
                    is_http2: stream.connected().is_negotiated_h2(),
                    stream: Box::new(stream),
                })
            })
        };
        Self {
            dial: Box::new(dial),
            forwarded: None,
        }
    }

    /// Opens a stream; takes as long as it takes.
    pub(super) async fn dial(&self) -> Result<Dialled, BoxError> {
        (self.dial)().await
    }
}

fn tcp<R>(resolver: R, connect_ms: u64) -> HttpConnector<R> {
    let mut tcp = HttpConnector::new_with_resolver(resolver);
    tcp.enforce_http(false);
    // Divided among the addresses of a family, so that a dead one is passed over. Slightly more than the caller's own
    // limit, which must be the one that speaks when there is but one address, and so little more that the last of
    // several still has time within it.
    let divided_ms = connect_ms + connect_ms / 16 + 1;
    tcp.set_connect_timeout(Some(Duration::from_millis(divided_ms)));
    #[cfg(any(target_os = "android", target_os = "linux"))]
    tcp.set_tcp_user_timeout(Some(TCP_USER_TIMEOUT));
    tcp.set_nodelay(true);
    tcp.set_keepalive(Some(TCP_KEEPALIVE));
    tcp.set_keepalive_interval(Some(TCP_KEEPALIVE));
    tcp.set_keepalive_retries(Some(TCP_KEEPALIVE_RETRIES));
    tcp
}

fn tunnel<C>(proxy: &Uri, to_proxy: C, authorization: Option<HeaderValue>) -> Tunnel<C> {
    let tunnel = Tunnel::new(proxy.clone(), to_proxy);
    match authorization {
        Some(authorization) => tunnel.with_auth(authorization),
        None => tunnel,
    }
}

/// What is offered in a TLS handshake.
#[derive(Clone, Copy)]
enum Alpn {
    Http1,
    Any,
}

fn tls<C>(connector: C, alpn: Alpn) -> std::io::Result<HttpsConnector<C>> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = HttpsConnectorBuilder::new()
        .with_provider_and_platform_verifier(provider)?
        .https_or_http();
    Ok(match alpn {
        Alpn::Http1 => builder.enable_http1().wrap_connector(connector),
        Alpn::Any => builder.enable_all_versions().wrap_connector(connector),
    })
}

#[cfg(test)]
mod tests {
    use std::{
        convert::Infallible,
        net::{Ipv4Addr, SocketAddr},
        task::{Context, Poll},
    };

    use hyper_util::client::legacy::connect::dns::Name;
    use tokio::net::{TcpListener, TcpSocket, TcpStream};

    use super::*;

    const CONNECT_MS: u64 = 2_000;

    /// Knows the same addresses for every name.
    #[derive(Clone)]
    struct Known(Vec<SocketAddr>);

    impl Service<Name> for Known {
        type Response = std::vec::IntoIter<SocketAddr>;
        type Error = Infallible;
        type Future = std::future::Ready<Result<Self::Response, Infallible>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: Name) -> Self::Future {
            std::future::ready(Ok(self.0.clone().into_iter()))
        }
    }

    /// An address that answers no more: its queue of connections is full. What fills it goes with the value.
    async fn dead() -> (SocketAddr, TcpListener, Vec<TcpStream>) {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket
            .bind((Ipv4Addr::LOCALHOST, 0).into())
            .expect("a port");
        let listener = socket.listen(1).expect("a listener");
        let address = listener.local_addr().expect("an address");
        let mut filling = Vec::new();
        while let Ok(Ok(stream)) =
            tokio::time::timeout(Duration::from_millis(200), TcpStream::connect(address)).await
        {
            filling.push(stream);
        }
        (address, listener, filling)
    }

    fn uri() -> Uri {
        Uri::from_static("http://llm.example")
    }

    #[tokio::test]
    async fn a_dead_address_is_passed_over_in_time() {
        let (dead, _listener, _filling) = dead().await;
        let alive = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let known = Known(vec![dead, alive.local_addr().expect("an address")]);
        let dialler = Dialler::direct(tcp(known, CONNECT_MS), &uri());
        let dialled = tokio::time::timeout(Duration::from_millis(CONNECT_MS), dialler.dial()).await;
        assert!(dialled.expect("in time").is_ok());
    }

    #[tokio::test]
    async fn for_one_address_the_limit_is_the_callers() {
        let (dead, _listener, _filling) = dead().await;
        let dialler = Dialler::direct(tcp(Known(vec![dead]), 200), &uri());
        let dialled = tokio::time::timeout(Duration::from_millis(200), dialler.dial()).await;
        assert!(dialled.is_err(), "its own limit was first");
    }

    #[cfg(any(target_os = "android", target_os = "linux"))]
    #[tokio::test]
    async fn a_peer_that_takes_nothing_any_more_is_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let known = Known(vec![listener.local_addr().expect("an address")]);
        let stream = tcp(known, CONNECT_MS).oneshot(uri()).await.expect("one");
        let timeout_ms = rustix::net::sockopt::tcp_user_timeout(stream.inner());
        assert_eq!(timeout_ms.map(u64::from), Ok(60_000));
    }
}
