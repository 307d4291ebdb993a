//! Configures reqwest for one provider.

use std::{iter, time::Duration};

use http::HeaderMap;
use reqwest::{Client, Proxy, redirect::Policy};

use super::{endpoint::Endpoint, proxies::ProxyError, settings::HttpSettings};

/// How often an HTTP/2 connection with calls in flight is pinged. Many calls share a connection. Without pings, a dead
/// connection would be noticed only when the calls time out.
const PING_INTERVAL: Duration = Duration::from_secs(30);
/// How long the server may take to answer a ping.
const PING_TIMEOUT: Duration = Duration::from_secs(15);

/// The most calls in flight on one client. Over HTTP/2, they share one connection.
pub(super) const CALLS_MAX: usize = 100;

/// How many bytes of an answer a server may send over HTTP/2 before they are read. An answer that waits for memory is not
/// read. The window of the connection has space for the unread bytes of all answers, so that an unread answer blocks no other.
const STREAM_WINDOW_BYTES: u32 = 64 * 1_024;
const CONNECTION_WINDOW_BYTES: u32 = STREAM_WINDOW_BYTES * CALLS_MAX as u32;

/// The most bytes of an answer's headers over HTTP/2.
const HEADERS_BYTES_MAX: u32 = 32 * 1_024;

/// Why no calls can be made to a provider.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The TLS library finds no usable certificates.
    #[error("TLS cannot be set up")]
    Tls(#[source] rustls::Error),
    /// The proxy for the provider cannot be used.
    #[error(transparent)]
    Proxy(ProxyError),
    /// The HTTP client refuses its configuration.
    #[error("the HTTP client cannot be set up")]
    Http(#[source] reqwest::Error),
}

/// Builds clients for one provider. All these clients share the trusted certificates and the cache of TLS sessions.
pub(super) struct ClientBuilder {
    headers: HeaderMap,
    connect_timeout: Duration,
    http2_prior_knowledge: bool,
    proxy: Option<Proxy>,
    /// The host and port of the proxy that forwards the requests. `None` if no proxy is used, or if it tunnels TLS.
    forwarding_proxy: Option<String>,
    /// `None` if no TLS is used. TLS needs certificates, which a minimal machine may not have.
    tls: Option<rustls::ClientConfig>,
}

impl ClientBuilder {
    /// A builder for clients of the provider at `endpoint`. `headers` go with every request.
    ///
    /// # Errors
    /// [`ClientError`]: TLS or the proxy cannot be set up.
    pub(super) fn new(
        settings: &HttpSettings,
        endpoint: &Endpoint,
        headers: HeaderMap,
    ) -> Result<Self, ClientError> {
        let proxy = settings.proxies.of(endpoint).map_err(ClientError::Proxy)?;
        let needs_tls =
            !endpoint.is_cleartext() || proxy.as_ref().is_some_and(|proxy| proxy.is_tls);
        let tls = needs_tls.then(|| settings.trusted.tls_config()).transpose();
        let is_forwarded = endpoint.is_cleartext() && proxy.is_some();
        let address = proxy.as_ref().map(|proxy| proxy.address.clone());
        Ok(Self {
            headers,
            connect_timeout: Duration::from_millis(settings.limits.connect_ms),
            // A forwarding proxy may support only HTTP/1.1.
            http2_prior_knowledge: settings.http2_prior_knowledge
                && endpoint.is_cleartext()
                && !is_forwarded,
            forwarding_proxy: address.filter(|_| is_forwarded),
            proxy: proxy.map(|proxy| proxy.proxy),
            tls: tls.map_err(ClientError::Tls)?,
        })
    }

    /// The host and port of the proxy that forwards the requests. `None` if no proxy is used, or if it tunnels TLS.
    pub(super) fn forwarding_proxy(&self) -> Option<&str> {
        self.forwarding_proxy.as_deref()
    }

    /// Builds a client without connections yet.
    ///
    /// # Errors
    /// When reqwest refuses the configuration.
    pub(super) fn build(&self) -> reqwest::Result<Client> {
        self.configured().build()
    }

    fn configured(&self) -> reqwest::ClientBuilder {
        // Forebay relies on three defaults of reqwest:
        // - It retries requests that a server has not begun to process (RFC 9113, section 8.7).
        // - It divides the connect timeout among several addresses.
        // - It closes a connection whose TCP peer is gone.
        let mut builder = Client::builder()
            .default_headers(self.headers.clone())
            .connect_timeout(self.connect_timeout)
            .redirect(Policy::none())
            .http2_keep_alive_interval(PING_INTERVAL)
            .http2_keep_alive_timeout(PING_TIMEOUT)
            .http2_max_header_list_size(HEADERS_BYTES_MAX)
            .http2_initial_stream_window_size(STREAM_WINDOW_BYTES)
            .http2_initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            // `Proxies` has read the proxy variables already.
            .no_proxy();
        if let Some(proxy) = &self.proxy {
            builder = builder.proxy(proxy.clone());
        }
        if self.http2_prior_knowledge {
            builder = builder.http2_prior_knowledge();
        }
        match &self.tls {
            Some(tls) => builder.tls_backend_preconfigured(tls.clone()),
            None => builder.tls_certs_only(iter::empty()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};

    use tokio::{
        io::AsyncReadExt as _,
        net::{TcpListener, TcpSocket, TcpStream},
        time::timeout,
    };

    use super::*;
    use crate::provider::http::HttpLimits;

    /// An address that does not respond, because its backlog is full until the other returned values are dropped.
    async fn unresponsive_address() -> (SocketAddr, TcpListener, Vec<TcpStream>) {
        let socket = TcpSocket::new_v4().expect("the socket is created");
        socket
            .bind((Ipv4Addr::LOCALHOST, 0).into())
            .expect("the port opens");
        let listener = socket.listen(1).expect("the socket listens");
        let address = listener.local_addr().expect("the address is valid");
        let mut filling = Vec::new();
        while let Ok(Ok(stream)) =
            timeout(Duration::from_millis(200), TcpStream::connect(address)).await
        {
            filling.push(stream);
        }
        (address, listener, filling)
    }

    fn client(addresses: &[SocketAddr], connect_ms: u64) -> Client {
        let settings = HttpSettings {
            limits: HttpLimits {
                connect_ms,
                ..HttpLimits::default()
            },
            ..HttpSettings::default()
        };
        let endpoint = Endpoint::parse("http://llm.example").expect("the URL is valid");
        let builder = ClientBuilder::new(&settings, &endpoint, HeaderMap::new());
        let configured = builder.expect("the builder is created").configured();
        let resolved = configured.resolve_to_addrs("llm.example", addresses);
        resolved.build().expect("the client is built")
    }

    #[tokio::test]
    async fn if_an_address_does_not_respond_the_next_is_tried_within_the_connect_timeout() {
        // Each address has half of this time. That suffices on a busy machine.
        const CONNECT_MS: u64 = 8_000;
        let (unresponsive, _listener, _filling) = unresponsive_address().await;
        let alive = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("the port opens");
        let alive_address = alive.local_addr().expect("the address is valid");
        let client = client(&[unresponsive, alive_address], CONNECT_MS);
        let call = tokio::spawn(client.post("http://llm.example/v1").send());
        let accepted = timeout(Duration::from_millis(CONNECT_MS), alive.accept()).await;
        let (mut stream, _) = accepted
            .expect("the wait ends in time")
            .expect("a client connects");
        assert_eq!(stream.read_u8().await.expect("a request arrives"), b'P');
        call.abort();
    }

    #[tokio::test]
    async fn a_connect_to_an_address_that_does_not_respond_fails_at_the_connect_timeout() {
        let (unresponsive, _listener, _filling) = unresponsive_address().await;
        let error = client(&[unresponsive], 1_000)
            .post("http://llm.example/v1")
            .send()
            .await;
        let error = error.expect_err("nothing answers");
        assert!(error.is_connect() && error.is_timeout(), "error: {error:?}");
    }
}
