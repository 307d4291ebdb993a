//! One way to post JSON to a provider and read its answer, with a bound on everything.
//!
//! Knows connections, times and bytes; what an answer means is left to the provider that asked, with
//! `status` as the part that all of them share.

mod endpoint;
mod pools;
mod retry_after;
pub(super) mod status;
mod transport;

use std::time::Duration;

use reqwest::header::HeaderMap;
use tokio::time::{Instant, timeout_at};
use url::Url;

pub use endpoint::{Endpoint, EndpointError};

use super::Failure;
use pools::Pools;

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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HttpSettings {
    /// The bounds.
    pub limits: HttpLimits,
    /// Speak HTTP/2 at once, without asking for it in a TLS handshake: for `http:` servers known to
    /// understand it. Otherwise `https:` agrees on HTTP/2 by ALPN and `http:` uses HTTP/1.1.
    pub http2_prior_knowledge: bool,
}

/// The connections to one provider.
pub(super) struct JsonClient {
    pools: Pools,
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
    /// Builds the first pool. `headers` go with every request.
    ///
    /// # Errors
    /// When the TLS library finds no usable certificates.
    pub(super) fn new(
        settings: HttpSettings,
        endpoint: &Endpoint,
        headers: HeaderMap,
    ) -> Result<Self, reqwest::Error> {
        let limits = settings.limits;
        let (is_loopback, is_cleartext) = (endpoint.is_loopback(), endpoint.is_cleartext());
        let build = move || {
            let mut builder = reqwest::Client::builder()
                .user_agent(concat!("forebay/", env!("CARGO_PKG_VERSION")))
                .default_headers(headers.clone())
                .connect_timeout(Duration::from_millis(limits.connect_ms))
                // A redirect would carry the key and the prompt to a place nobody named.
                .redirect(reqwest::redirect::Policy::none())
                // Many calls share an HTTP/2 connection: one that died silently must not hold them all.
                .http2_keep_alive_interval(Duration::from_secs(30))
                .http2_keep_alive_timeout(Duration::from_secs(15));
            if settings.http2_prior_knowledge {
                builder = builder.http2_prior_knowledge();
            }
            if is_cleartext {
                // No certificate is ever looked at; each client would keep a copy of all roots.
                builder = builder.tls_certs_only([]);
            }
            if is_loopback {
                // The proxy of the environment is for the world outside: it cannot reach this machine.
                builder = builder.no_proxy();
            }
            builder.build()
        };
        Ok(Self {
            pools: Pools::new(build)?,
            limits,
        })
    }

    /// Posts `body` as JSON and reads the answer.
    ///
    /// # Errors
    /// [`Failure`] when no whole answer came: `connection_failed`, `provider_timeout` or
    /// `response_too_large`.
    pub(super) async fn post(
        &self,
        url: Url,
        body: Vec<u8>,
        timeout: Duration,
    ) -> Result<Received, Failure> {
        let started = Instant::now();
        let deadline = started + timeout;
        let head = started + Duration::from_millis(self.limits.first_byte_ms);
        let leased = self.pools.lease();
        let sending = leased
            .client
            .post(url)
            .header(reqwest::header::CONTENT_TYPE, "application/json")
            .header(reqwest::header::ACCEPT, "application/json")
            .body(body)
            .send();
        let response = match timeout_at(head.min(deadline), sending).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(transport::failed(error, self.limits.connect_ms)),
            Err(_) if head < deadline => {
                return Err(transport::no_head_within(self.limits.first_byte_ms));
            }
            Err(_) => return Err(transport::not_done_within(timeout)),
        };
        let status = response.status().as_u16();
        let retry_after_ms = retry_after::read(response.headers(), std::time::SystemTime::now());
        let body = if response.status().is_success() {
            match timeout_at(deadline, self.whole_body(response)).await {
                Ok(body) => body?,
                Err(_) => return Err(transport::not_done_within(timeout)),
            }
        } else {
            let limit = Instant::now() + Duration::from_millis(ERROR_BODY_MS);
            beginning_of_body(response, limit.min(deadline)).await
        };
        Ok(Received {
            status,
            retry_after_ms,
            body,
        })
    }

    async fn whole_body(&self, mut response: reqwest::Response) -> Result<Vec<u8>, Failure> {
        let max = self.limits.response_bytes_max;
        let announced = response.content_length().unwrap_or(0);
        if announced > max as u64 {
            return Err(transport::too_large(max));
        }
        let mut body = Vec::with_capacity(
            usize::try_from(announced)
                .unwrap_or(0)
                .min(FIRST_BUFFER_BYTES),
        );
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) if body.len() + chunk.len() > max => {
                    return Err(transport::too_large(max));
                }
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => return Ok(body),
                Err(error) => return Err(transport::cut_off(error)),
            }
        }
    }
}

/// As much of an error's body as comes before the limits; the status alone says the most important.
async fn beginning_of_body(mut response: reqwest::Response, limit: Instant) -> Vec<u8> {
    let mut body = Vec::new();
    while body.len() < ERROR_BODY_BYTES_MAX {
        match timeout_at(limit, response.chunk()).await {
            Ok(Ok(Some(chunk))) => {
                let room = ERROR_BODY_BYTES_MAX - body.len();
                body.extend_from_slice(&chunk[..chunk.len().min(room)]);
            }
            _ => break,
        }
    }
    body
}
