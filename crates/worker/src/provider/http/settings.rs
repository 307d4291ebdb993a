//! How a provider is reached: the limits on each call, the protocol, the proxies and the trusted certificates.

use super::{proxies::Proxies, trust::TrustedCertificates};

/// The limits on one call, apart from its timeout, which is part of each call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpLimits {
    /// The timeout of name resolution, connecting and the TLS handshake together, in milliseconds.
    pub connect_ms: u64,
    /// The timeout of the answer's headers, connecting included, in milliseconds. A model that does not stream sends
    /// the headers when its reply is complete. So this timeout includes the time that the model needs.
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
#[derive(Clone, Debug, Default)]
pub struct HttpSettings {
    /// The limits on each call.
    pub limits: HttpLimits,
    /// Whether an `http:` provider is sent HTTP/2 at once. An `https:` provider agrees on HTTP/2 in the TLS handshake
    /// (ALPN, RFC 7301) either way.
    pub http2_prior_knowledge: bool,
    /// The proxies of the environment. Providers on this machine are reached without a proxy.
    pub proxies: Proxies,
    /// The certificates that an `https:` provider may present or be signed by.
    pub trusted: TrustedCertificates,
}
