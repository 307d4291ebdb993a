//! The limits of a server: how many connections it has, and how long they may take.

use std::time::Duration;

/// The limits of a server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ServerLimits {
    /// The most open connections.
    pub(crate) connections_max: usize,
    /// What happens to further connections.
    pub(crate) when_full: WhenFull,
    /// How long a connection may be idle after a response.
    pub(crate) idle_timeout: Duration,
    /// The time limit for the head of a request, from its first byte to the end of its headers. The time of a
    /// connection's first request begins at the accept.
    pub(crate) head_timeout: Duration,
    /// How long the writes of a response may be blocked because its client reads too slowly.
    pub(crate) write_timeout: Duration,
    /// How long open requests may take to finish after the stop.
    pub(crate) drain_time: Duration,
}

/// What happens to a new connection while the most connections are open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WhenFull {
    /// It waits in the listener's backlog until another one ends.
    Wait,
    /// The oldest connections are closed, each after its current request. So idle connections do not keep out others.
    CloseOldest,
}
