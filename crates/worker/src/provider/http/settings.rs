//! How a provider is reached: the limits on each call, the protocol, the proxies and the trusted certificates.

use super::{proxies::Proxies, reply_memory::ReplyBudgets, trust::TrustedCertificates};

/// The limits on one call, in addition to the timeout that each call has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpLimits {
    /// The timeout of name resolution, connecting and the TLS handshake together, in milliseconds.
    pub connect_ms: u64,
    /// The timeout of the answer's headers, connecting included, in milliseconds. Without streaming, a service sends the
    /// headers when the reply is complete. So this timeout includes the time that the model needs.
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
    /// The memory for long replies. All providers of a process share it.
    pub reply_budgets: ReplyBudgets,
    /// Whether an `http:` provider gets HTTP/2 requests without negotiation (RFC 9113, section 3.3). For an `https:` provider
    /// the setting has no effect, because the TLS handshake negotiates the version (ALPN, RFC 7301).
    pub http2_prior_knowledge: bool,
    /// The proxies of the environment. Providers on this machine are reached without a proxy.
    pub proxies: Proxies,
    /// The trusted certificates for `https:` providers.
    pub trusted: TrustedCertificates,
}
