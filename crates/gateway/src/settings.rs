//! The gateway's settings. The binary decides where their values come from.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use crate::{
    auth::ApiKeysFile,
    model_accounts::ModelAccounts,
    web_guard::{AllowedHosts, AllowedOrigins},
};

/// The gateway's settings.
#[derive(Clone, Debug)]
pub struct GatewaySettings {
    /// The address to listen on. The caller of [`serve`](crate::serve) opens the listener; `serve` itself
    /// does not read this setting.
    pub listen: SocketAddr,
    /// The API keys. Without them, everyone who reaches the gateway may use all of the API, as one tenant.
    pub api_keys: Option<Arc<ApiKeysFile>>,
    /// The hosts that requests may name, in addition to the names of this machine.
    pub allowed_hosts: AllowedHosts,
    /// The origins of web pages that may use the API.
    pub allowed_origins: AllowedOrigins,
    /// The most bytes of one request's body; 1 KiB to 1 GiB.
    pub body_bytes_max: usize,
    /// The most live jobs in the store, at least 1. At this number submits are refused with 503.
    pub backlog_max: u64,
    /// The model of a submit that names no model. With `None`, such a submit is refused.
    pub default_model: Option<String>,
    /// Finds the accounts that a submit's job may wait for. The default finds none. Then no submit is
    /// refused because too many jobs wait for its provider.
    pub model_accounts: ModelAccounts,
    /// How long a session without live jobs is kept after its last job, read or write, in milliseconds.
    pub session_ttl_ms: u64,
    /// The most open connections. Further connections wait in the listener's backlog.
    pub connections_max: usize,
    /// The most requests that wait for a job to end (`wait_s`). Further requests are answered at once.
    pub waits_max: usize,
    /// How long a connection may be idle after a response, in milliseconds.
    pub idle_timeout_ms: u64,
    /// The time limit for the head of a request, from its first byte to the end of its headers, in milliseconds. The time of a
    /// connection's first request begins at the accept.
    pub head_timeout_ms: u64,
    /// The time limit for a request's body, in milliseconds.
    pub body_timeout_ms: u64,
    /// How long the writes of a response may be blocked because its client reads too slowly, in milliseconds. Each 4 KiB
    /// that are written meanwhile add a second.
    pub write_timeout_ms: u64,
    /// How long open requests may take to finish when the gateway stops, in milliseconds.
    pub drain_ms: u64,
}

impl Default for GatewaySettings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            api_keys: None,
            allowed_hosts: AllowedHosts::default(),
            allowed_origins: AllowedOrigins::default(),
            body_bytes_max: 10 * 1024 * 1024,
            backlog_max: 100_000,
            default_model: None,
            model_accounts: ModelAccounts::default(),
            session_ttl_ms: 86_400_000,
            connections_max: 10_000,
            waits_max: 10_000,
            // Longer than the 60 s for which load balancers commonly keep an idle connection. If the
            // server closed first, a request sent at that moment would be lost.
            idle_timeout_ms: 75_000,
            head_timeout_ms: 15_000,
            body_timeout_ms: 30_000,
            write_timeout_ms: 30_000,
            drain_ms: 5_000,
        }
    }
}
