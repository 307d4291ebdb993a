//! Makes connections to one provider within the time that it has for that.

use std::time::Duration;

use http::{
    HeaderValue, Request, Uri,
    header::{HOST, PROXY_AUTHORIZATION},
};
use hyper_util::client::proxy::matcher::Matcher;
use tokio::time::timeout;

use super::{
    connection::{Connection, handshake},
    dial::Dialler,
    endpoint::Endpoint,
    proxies::{Proxies, ProxyError},
    transport,
};
use crate::provider::Failure;

/// Why no connections can be made at all.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The TLS library finds no usable certificates.
    #[error("TLS cannot be set up")]
    Tls(#[source] std::io::Error),
    /// A proxy applies that cannot be used.
    #[error(transparent)]
    Proxy(ProxyError),
}

/// Makes connections to one provider.
pub(super) struct Connector {
    dialler: Dialler,
    origin: Uri,
    host: Option<HeaderValue>,
    connect_ms: u64,
    is_cleartext: bool,
    is_http2: bool,
}

impl Connector {
    /// A connector to the host of `endpoint`. With `http2_prior_knowledge` HTTP/2 is spoken without asking.
    ///
    /// # Errors
    /// [`ClientError`]: TLS cannot be set up, or not the proxy.
    pub(super) fn new(
        endpoint: &Endpoint,
        proxies: &Proxies,
        connect_ms: u64,
        http2_prior_knowledge: bool,
    ) -> Result<Self, ClientError> {
        let proxies = if endpoint.is_loopback() {
            // The proxy of the environment is for the world outside: it cannot reach this machine.
            Matcher::builder().build()
        } else {
            let proxies = proxies.matcher(&endpoint.to_uri());
            proxies.map_err(ClientError::Proxy)?
        };
        Self::through(&proxies, endpoint, connect_ms, http2_prior_knowledge)
            .map_err(ClientError::Tls)
    }

    fn through(
        proxies: &Matcher,
        endpoint: &Endpoint,
        connect_ms: u64,
        http2_prior_knowledge: bool,
    ) -> std::io::Result<Self> {
        let origin = endpoint.to_uri();
        let dialler = Dialler::new(&origin, proxies, connect_ms)?;
        let host = origin.authority().map(http::uri::Authority::as_str);
        Ok(Self {
            // With TLS the handshake decides, and a proxy that passes requests on speaks HTTP/1.1.
            is_http2: http2_prior_knowledge
                && endpoint.is_cleartext()
                && dialler.forwarded.is_none(),
            is_cleartext: endpoint.is_cleartext(),
            host: host.and_then(|host| HeaderValue::from_str(host).ok()),
            dialler,
            origin,
            connect_ms,
        })
    }

    /// The host and port of the proxy that passes requests on, if one does.
    pub(super) fn forwarder(&self) -> Option<&str> {
        let forwarded = self.dialler.forwarded.as_ref()?;
        Some(&forwarded.proxy)
    }

    /// Whether it is known that HTTP/2 will not be spoken.
    pub(super) const fn is_http1_only(&self) -> bool {
        self.is_cleartext && !self.is_http2
    }

    /// Names the target of a request in the way that its connection wants: HTTP/2 and proxies have the whole URL
    /// (RFC 9113, section 8.3.1; RFC 9112, section 3.2.2), others the path, with the host in a header.
    pub(super) fn address<B>(&self, request: &mut Request<B>, is_own: bool) {
        let forwarded = self.dialler.forwarded.as_ref();
        let mut uri = http::uri::Parts::default();
        uri.path_and_query = request.uri().path_and_query().cloned();
        if !is_own || forwarded.is_some() {
            uri.scheme = self.origin.scheme().cloned();
            uri.authority = self.origin.authority().cloned();
        }
        if let Ok(uri) = Uri::from_parts(uri) {
            *request.uri_mut() = uri;
        }
        let headers = request.headers_mut();
        match &self.host {
            Some(host) if is_own => headers.insert(HOST, host.clone()),
            _ => headers.remove(HOST),
        };
        if let Some(authorization) = forwarded.and_then(|proxy| proxy.authorization.as_ref()) {
            headers.insert(PROXY_AUTHORIZATION, authorization.clone());
        }
    }

    /// Makes a connection.
    ///
    /// # Errors
    /// [`Failure`]: `connection_failed`, or `provider_timeout` when it takes too long.
    pub(super) async fn connect(&self) -> Result<Connection, Failure> {
        let connecting = async {
            let dialled = self
                .dialler
                .dial()
                .await
                .map_err(|error| transport::not_connected(error.as_ref()))?;
            let shaken = handshake(dialled, self.is_http2).await;
            let shaken = shaken.map_err(|error| transport::not_connected(&error))?;
            shaken.ok_or_else(transport::ended_at_once)
        };
        timeout(Duration::from_millis(self.connect_ms), connecting)
            .await
            .unwrap_or_else(|_| Err(transport::not_connected_within(self.connect_ms)))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::HeaderMap;
    use hyper_util::client::proxy::matcher;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::{TcpListener, TcpStream},
    };

    use super::*;
    use crate::provider::http::{exchange::Exchange, pool::Pool};

    const CONNECT_MS: u64 = 5_000;
    /// Of `user:secret`.
    const AUTHORIZATION: &str = "Basic dXNlcjpzZWNyZXQ=";

    async fn head(stream: &mut TcpStream) -> String {
        let mut bytes = Vec::new();
        while !bytes.ends_with(b"\r\n\r\n") {
            bytes.push(stream.read_u8().await.expect("a head"));
        }
        String::from_utf8(bytes).expect("text")
    }

    /// Posts to `url` by these rules.
    fn post(url: &str, rules: &dyn Fn(matcher::Builder) -> matcher::Builder) {
        let endpoint = Endpoint::parse(url).expect("a URL");
        let proxies = rules(Matcher::builder()).build();
        let connector =
            Connector::through(&proxies, &endpoint, CONNECT_MS, false).expect("a connector");
        let url = endpoint.with_segments(&["chat"]);
        let pool = Arc::new(Pool::new(connector));
        tokio::spawn(async move {
            let exchange = Exchange::new(&url, &HeaderMap::new(), b"{}".to_vec()).expect("a URI");
            let _ = exchange.run(&pool).await;
        });
    }

    #[tokio::test]
    async fn a_proxy_is_told_the_whole_url_and_who_asks() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let proxy = format!("http://user:secret@{}", listener.local_addr().expect("one"));
        post("http://llm.example/v1", &|rules| rules.http(proxy.clone()));
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let head = head(&mut stream).await;
        let mut lines = head.lines();
        assert_eq!(
            lines.next(),
            Some("POST http://llm.example/v1/chat HTTP/1.1")
        );
        let lines: Vec<_> = lines.collect();
        assert!(lines.contains(&"host: llm.example"), "{head}");
        let authorization = format!("proxy-authorization: {AUTHORIZATION}");
        assert!(lines.contains(&authorization.as_str()), "{head}");
    }

    #[tokio::test]
    async fn through_a_proxy_tls_goes_in_a_tunnel() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let proxy = format!("http://user:secret@{}", listener.local_addr().expect("one"));
        post("https://llm.example/v1", &|rules| {
            rules.https(proxy.clone())
        });
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let head = head(&mut stream).await;
        assert!(
            head.starts_with("CONNECT llm.example:443 HTTP/1.1\r\n"),
            "{head}"
        );
        assert!(head.contains(AUTHORIZATION), "{head}");
        let opened = b"HTTP/1.1 200 OK\r\n\r\n";
        stream.write_all(opened).await.expect("written");
        // A handshake record (RFC 8446, section 5.1).
        assert_eq!(stream.read_u8().await.expect("a byte"), 22);
    }

    #[tokio::test]
    async fn a_host_that_needs_no_proxy_is_asked_itself() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("one");
        post(&format!("http://{address}/v1"), &|rules| {
            rules.all("http://proxy.invalid").no("127.0.0.1")
        });
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let head = head(&mut stream).await;
        assert!(head.starts_with("POST /v1/chat HTTP/1.1\r\n"), "{head}");
        assert!(head.contains(&format!("host: {address}\r\n")), "{head}");
    }
}
