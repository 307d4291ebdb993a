//! What bounds a gateway. Where the values come from is the binary's business.

use std::net::{Ipv4Addr, SocketAddr};

/// What bounds a gateway.
#[derive(Clone, Debug)]
pub struct GatewaySettings {
    /// Where it listens. Read by whoever opens the listener, not by [`serve`](crate::serve).
    pub listen: SocketAddr,
    /// The most bytes of one request's body; 1 KiB to 1 GiB.
    pub body_bytes_max: usize,
    /// The most bytes of all bodies that are in memory at a time; at least `body_bytes_max`. Requests
    /// beyond it wait for room, within `body_read_ms`.
    pub bodies_bytes_max: usize,
    /// The most live jobs in the store. At it submits are refused with 503; at least 1.
    pub backlog_max: u64,
    /// The model of jobs that name none; `None`: such jobs are refused.
    pub default_model: Option<String>,
    /// How long a session is kept after it was last read or used, in milliseconds.
    pub session_ttl_ms: u64,
    /// The most connections open at a time; further ones wait in the listener's backlog.
    pub connections_max: usize,
    /// The most requests that wait for a job to end (`wait_s`); further ones are answered at once.
    pub waits_max: usize,
    /// How long a client may take for a request's head, and be idle between two, in milliseconds.
    pub header_read_ms: u64,
    /// How long a client may take for a request's body, in milliseconds.
    pub body_read_ms: u64,
    /// How long a client may read nothing of an answer, in milliseconds.
    pub write_stall_ms: u64,
    /// How long requests under way may take to end when the gateway stops, in milliseconds.
    pub drain_ms: u64,
}

impl Default for GatewaySettings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            body_bytes_max: 10 * 1024 * 1024,
            bodies_bytes_max: 256 * 1024 * 1024,
            backlog_max: 100_000,
            default_model: None,
            session_ttl_ms: 86_400_000,
            connections_max: 10_000,
            waits_max: 10_000,
            // Over the 60 s for which load balancers commonly keep a connection that is idle: who closes
            // first must not be the server, or a request that is just being sent is lost.
            header_read_ms: 75_000,
            body_read_ms: 30_000,
            write_stall_ms: 30_000,
            drain_ms: 5_000,
        }
    }
}
