//! How a provider's host is reached: directly or through the proxy that the environment names, with TLS or
//! without. What comes out is a stream of bytes, and whether HTTP/2 was agreed on in the TLS handshake (ALPN).

use std::{pin::Pin, sync::Arc, time::Duration};

use http::{HeaderValue, Uri, uri::Scheme};
use hyper::rt::{Read, Write};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::{
    legacy::connect::{Connection, HttpConnector, proxy::Tunnel},
    proxy::matcher::Matcher,
};
use tower::{Service, ServiceExt as _};

/// After so long without a byte in either direction the peer is asked whether it still is there, and again as
/// often until the connection is given up.
const TCP_KEEPALIVE: Duration = Duration::from_secs(15);
const TCP_KEEPALIVE_RETRIES: u32 = 3;

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

/// What requests carry that a proxy reads.
#[derive(Clone, Debug)]
pub(super) struct Forwarded {
    pub(super) authorization: Option<HeaderValue>,
}

impl Dialler {
    /// A dialler to the host of `target`, through the proxy that `proxies` names for it, if any.
    ///
    /// # Errors
    /// When the TLS library finds no usable certificates.
    pub(super) fn new(target: &Uri, proxies: &Matcher) -> std::io::Result<Self> {
        let is_tls = target.scheme() == Some(&Scheme::HTTPS);
        let Some(proxy) = proxies.intercept(target) else {
            return Ok(if is_tls {
                Self::direct(tls(tcp(), Alpn::Any)?, target)
            } else {
                Self::direct(tcp(), target)
            });
        };
        let authorization = proxy.basic_auth().cloned();
        // The proxy itself may be reached with TLS.
        let to_proxy = tls(tcp(), Alpn::Http1)?;
        if is_tls {
            let mut tunnel = Tunnel::new(proxy.uri().clone(), to_proxy);
            if let Some(authorization) = authorization {
                tunnel = tunnel.with_auth(authorization);
            }
            return Ok(Self::direct(tls(tunnel, Alpn::Any)?, target));
        }
        Ok(Self {
            forwarded: Some(Forwarded { authorization }),
            ..Self::direct(to_proxy, proxy.uri())
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

fn tcp() -> HttpConnector {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_keepalive(Some(TCP_KEEPALIVE));
    tcp.set_keepalive_interval(Some(TCP_KEEPALIVE));
    tcp.set_keepalive_retries(Some(TCP_KEEPALIVE_RETRIES));
    tcp
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
