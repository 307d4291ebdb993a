//! Sends JSON to a provider over HTTP and reads the answer, within limits on time and bytes.
//!
//! reqwest makes the calls. It handles connections, proxies, TLS, name resolution, and the retries of requests that a
//! server has not begun to process.
//!
//! In reading order:
//! - `json_client`: makes a call; `settings`: how a provider is reached; `endpoint`: its base URL.
//! - `builder`: configures reqwest; `clients`: spreads calls over several clients.
//! - `proxies`: the proxies of the environment; `trust`: the trusted certificates.
//! - `redirect`: the address that a redirect names.
//! - `reply_memory`: reserves the memory of long replies.
//! - `transport`: classifies failures; `connect_error`: why no connection was made; `coding`: recognizes compressed answers.
//!
//! The modules of the providers interpret the answers.

mod builder;
mod clients;
mod coding;
mod connect_error;
mod endpoint;
mod json_client;
mod proxies;
mod redirect;
mod reply_memory;
mod settings;
mod transport;
mod trust;

pub use builder::ClientError;
pub use endpoint::{Endpoint, EndpointError};
pub(super) use json_client::{JsonClient, OutgoingRequest, Received};
pub use proxies::{Proxies, ProxyError};
pub use reply_memory::{ReplyBudgets, ReplyMemory};
pub use settings::{HttpLimits, HttpSettings};
pub use trust::{CaFileError, TrustedCertificates};
