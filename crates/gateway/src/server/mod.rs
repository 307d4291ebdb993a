//! Accepts connections, at most `connections_max` at a time, and drains them when the gateway stops.
//!
//! `accept` bounds the number of connections. This module replaces `axum::serve`, which sets no time limit for a request's headers. With it, slow clients could keep
//! connections for ever. Here, `connection` limits the time for a request's headers. `write_timeout` disconnects a client
//! that reads a response too slowly. `automatic_response` and `unreadable_request` answer what is not HTTP with problem
//! details.

mod accept;
mod automatic_response;
mod connection;
mod unreadable_request;
mod write_timeout;

use std::{sync::Arc, time::Duration};

use axum::Router;
use forebay_metrics::gateway::ConnectionGauge;
use forebay_runtime::member::Member;
use tokio::{net::TcpListener, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{router::router, settings::GatewaySettings, state::ApiState, web_guard::WebGuard};
use accept::Acceptor;
use connection::{ConnectionServer, Timeouts};

/// The limits of a server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ServerLimits {
    /// The most open connections.
    pub(crate) connections_max: usize,
    /// What happens to further connections.
    pub(crate) when_full: WhenFull,
    /// The time limit for a request's headers, and for the idle time before them.
    pub(crate) header_timeout: Duration,
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

/// Serves the API on `listener` until `stop` is cancelled. Then open requests may finish for `drain_ms`;
/// connections that are still open after that are closed.
pub async fn serve(
    listener: TcpListener,
    member: Arc<Member>,
    settings: GatewaySettings,
    stop: CancellationToken,
) {
    let limits = ServerLimits {
        connections_max: settings.connections_max,
        when_full: WhenFull::Wait,
        header_timeout: Duration::from_millis(settings.header_timeout_ms),
        write_timeout: Duration::from_millis(settings.write_timeout_ms),
        drain_time: Duration::from_millis(settings.drain_ms),
    };
    let web_guard = WebGuard {
        hosts: settings.allowed_hosts.clone(),
        origins: settings.allowed_origins.clone(),
        can_allow_origins: true,
        is_loopback_listener: is_loopback(&listener),
    };
    let connections = member.metrics.gateway.connections.clone();
    let state = Arc::new(ApiState::new(member, settings, stop.clone()));
    let router = router(state, web_guard);
    serve_router(listener, router, limits, Some(connections), stop).await;
}

/// Whether only this machine can reach the listener.
pub(crate) fn is_loopback(listener: &TcpListener) -> bool {
    let address = listener.local_addr();
    address.is_ok_and(|address| address.ip().to_canonical().is_loopback())
}

/// Serves a router within these limits until `stop` is cancelled, and drains. `connections` counts the open connections.
pub(crate) async fn serve_router(
    listener: TcpListener,
    router: Router,
    limits: ServerLimits,
    connections: Option<ConnectionGauge>,
    stop: CancellationToken,
) {
    let timeouts = Timeouts {
        header: limits.header_timeout,
        write: limits.write_timeout,
    };
    // Cancelled when the drain time has passed, or when this future is dropped.
    let abort = CancellationToken::new();
    let _abort_on_drop = abort.clone().drop_guard();
    let tasks = TaskTracker::new();
    let server = ConnectionServer::new(router, timeouts, stop.clone(), abort.clone());

    let mut acceptor = Acceptor::new(&limits, &tasks, &server, connections);
    stop.run_until_cancelled(acceptor.run(&listener)).await;
    drop(acceptor);
    // Closes the port, so that new clients are refused at once and can try another gateway.
    drop(listener);
    tasks.close();
    if timeout(limits.drain_time, tasks.wait()).await.is_err() {
        tracing::warn!(
            connections = tasks.len(),
            "the drain time has passed; closing the connections that are still open"
        );
        abort.cancel();
        tasks.wait().await;
    }
}
