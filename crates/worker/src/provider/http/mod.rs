//! One way to post JSON to a provider and read its answer, with a bound on everything.
//!
//! Built on hyper itself, because a call takes seconds and there are thousands at a time: while one waits for its
//! answer it holds a place on a connection and little else. `connector` makes connections (with `dial` for the
//! way to the host, `proxies` for what the environment says about it, and `connection` for the protocol), `pool` keeps
//! them (`shared` those that calls share), `exchange` sends a request on the one that it is given (`leased`), and
//! `coding` tells whether the answer can be read.
//!
//! Knows connections, times and bytes; what an answer means is left to the provider that asked, with
//! `status` as the part that all of them share.

mod coding;
mod connection;
mod connector;
mod dial;
mod endpoint;
mod exchange;
mod leased;
mod pool;
mod proxies;
mod shared;
mod transport;

use std::{sync::Arc, time::Duration};

use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{ACCEPT, ACCEPT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HOST, USER_AGENT},
};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use tokio::time::{Instant, timeout_at};
use url::Url;

pub use connector::ClientError;
pub use endpoint::{Endpoint, EndpointError};
pub use proxies::{Proxies, ProxyError};

use super::{Failure, retry_after};
use connector::Connector;
use exchange::{Answered, Exchange};
use pool::Pool;

/// How long, in milliseconds, the body of an error is waited for once its status is known. What has
/// come by then is enough to say what went wrong.
const ERROR_BODY_MS: u64 = 10_000;

/// The most bytes that are read of an error's body.
const ERROR_BODY_BYTES_MAX: usize = 64 * 1024;

/// The most bytes set aside for a body because its length was announced; beyond it the buffer grows with
/// what really comes.
const FIRST_BUFFER_BYTES: usize = 64 * 1024;

/// The bounds on one call, apart from the total time, which comes with each call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpLimits {
    /// How long finding the address, connecting and the TLS handshake may take, in milliseconds.
    pub connect_ms: u64,
    /// How long the head of the answer may take, connecting included, in milliseconds. A model that is
    /// not asked to stream sends it when its reply is complete, so this must leave time to think.
    pub first_byte_ms: u64,
    /// The most bytes of an answer's body.
    pub response_bytes_max: usize,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            connect_ms: 10_000,
            first_byte_ms: 600_000,
            response_bytes_max: 16 * 1024 * 1024,
        }
    }
}

/// How a provider is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpSettings {
    /// The bounds.
    pub limits: HttpLimits,
    /// Speak HTTP/2 at once, without asking for it in a TLS handshake: for `http:` servers known to
    /// understand it. Otherwise `https:` agrees on HTTP/2 by ALPN and `http:` uses HTTP/1.1.
    pub http2_prior_knowledge: bool,
    /// The proxies of the environment; not for providers on this very machine.
    pub proxies: Proxies,
}

/// Posts to one provider.
pub(super) struct JsonClient {
    pool: Arc<Pool>,
    headers: HeaderMap,
    limits: HttpLimits,
}

/// An answer, whatever its status.
#[derive(Debug)]
pub(super) struct Received {
    /// The status code.
    pub(super) status: u16,
    /// What `Retry-After` says, in milliseconds.
    pub(super) retry_after_ms: Option<u64>,
    /// The body: all of it for a status of 200 to 299, else its beginning.
    pub(super) body: Vec<u8>,
}

impl Received {
    /// Whether the status is one of success.
    pub(super) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

impl JsonClient {
    /// A client without connections yet. `headers` go with every request.
    ///
    /// # Errors
    /// [`ClientError`]: TLS cannot be set up, or not the proxy.
    pub(super) fn new(
        settings: HttpSettings,
        endpoint: &Endpoint,
        mut headers: HeaderMap,
    ) -> Result<Self, ClientError> {
        const JSON: HeaderValue = HeaderValue::from_static("application/json");
        const AGENT: &str = concat!("forebay/", env!("CARGO_PKG_VERSION"));
        let HttpSettings {
            limits,
            http2_prior_knowledge,
            proxies,
        } = settings;
        let connector =
            Connector::new(endpoint, &proxies, limits.connect_ms, http2_prior_knowledge)?;
        headers.entry(ACCEPT).or_insert(JSON);
        headers.entry(CONTENT_TYPE).or_insert(JSON);
        headers
            .entry(USER_AGENT)
            .or_insert(HeaderValue::from_static(AGENT));
        headers.insert(ACCEPT_ENCODING, coding::IDENTITY);
        // Each request sets these to values of its own. They are here for their room: a copy has exactly as much as is
        // taken, and over HTTP/1.1 what it had to grow by would be kept for as long as the answer is waited for.
        for own in [HOST, CONTENT_LENGTH] {
            headers.insert(own, HeaderValue::from_static("0"));
        }
        Ok(Self {
            pool: Arc::new(Pool::new(connector)),
            headers,
            limits,
        })
    }

    /// Posts `body` as JSON and reads the answer.
    ///
    /// # Errors
    /// [`Failure`] when no whole answer came that can be read: `connection_failed`, `provider_timeout`,
    /// `response_too_large`, or `invalid_response` for one that is compressed.
    pub(super) fn post(
        &self,
        url: &Url,
        body: Vec<u8>,
        timeout: Duration,
    ) -> impl Future<Output = Result<Received, Failure>> + Send {
        let started = Instant::now();
        let deadline = started + timeout;
        let head = started + Duration::from_millis(self.limits.first_byte_ms);
        let exchange = Exchange::new(url, &self.headers, body);
        async move {
            let exchange = exchange.ok_or_else(transport::url_too_long)?;
            let answered = match timeout_at(head.min(deadline), exchange.run(&self.pool)).await {
                Ok(answered) => answered?,
                Err(_) if head < deadline => {
                    return Err(transport::no_head_within(self.limits.first_byte_ms));
                }
                Err(_) => return Err(transport::not_done_within(timeout)),
            };
            // Boxed, as there is nothing to read while the answer is waited for.
            let received = Box::pin(self.read(answered, deadline)).await?;
            received.ok_or_else(|| transport::not_done_within(timeout))
        }
    }

    /// Reads an answer whose head has come; `None` when the deadline is over.
    async fn read(
        &self,
        answered: Answered,
        deadline: Instant,
    ) -> Result<Option<Received>, Failure> {
        let Answered { response, leased } = answered;
        let (head, mut body) = response.into_parts();
        if head.status == StatusCode::PROXY_AUTHENTICATION_REQUIRED
            && let Some(proxy) = self.pool.connector().forwarder()
        {
            return Err(transport::proxy_refused(proxy));
        }
        let retry_after_ms = retry_after::read(&head.headers, std::time::SystemTime::now());
        if head.status.is_success()
            && let Some(coding) = coding::of(&head.headers)
        {
            return Err(transport::encoded(coding));
        }
        let (body, is_whole) = if head.status.is_success() {
            match timeout_at(deadline, self.whole(&mut body)).await {
                Ok(whole) => (whole?, true),
                Err(_) => return Ok(None),
            }
        } else {
            let limit = Instant::now() + Duration::from_millis(ERROR_BODY_MS);
            beginning(&mut body, limit.min(deadline)).await
        };
        if is_whole {
            self.pool.take_back(leased).await;
        }
        Ok(Some(Received {
            status: head.status.as_u16(),
            retry_after_ms,
            body,
        }))
    }

    /// Reads a body to its end.
    async fn whole(&self, body: &mut Incoming) -> Result<Vec<u8>, Failure> {
        let max = self.limits.response_bytes_max;
        let announced = body.size_hint().lower();
        if announced > max as u64 {
            return Err(transport::too_large(max));
        }
        let mut whole = Vec::with_capacity(
            usize::try_from(announced)
                .unwrap_or(0)
                .min(FIRST_BUFFER_BYTES),
        );
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| transport::cut_off(&error))?;
            // Trailers say nothing that is needed.
            let Ok(data) = frame.into_data() else {
                continue;
            };
            if whole.len() + data.len() > max {
                return Err(transport::too_large(max));
            }
            whole.extend_from_slice(&data);
        }
        Ok(whole)
    }
}

/// As much of an error's body as comes before the limits, as the status alone says the most important; and
/// whether that is all of it.
async fn beginning(body: &mut Incoming, limit: Instant) -> (Vec<u8>, bool) {
    let mut beginning = Vec::new();
    while beginning.len() < ERROR_BODY_BYTES_MAX {
        let data = match timeout_at(limit, body.frame()).await {
            Ok(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
            Ok(None) => return (beginning, true),
            Ok(Some(Err(_))) | Err(_) => break,
        };
        let room = ERROR_BODY_BYTES_MAX - beginning.len();
        beginning.extend_from_slice(&data[..data.len().min(room)]);
    }
    (beginning, false)
}
