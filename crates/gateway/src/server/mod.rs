//! Accepts connections, at most `connections_max` at a time, and drains them when the gateway stops.
//!
//! `accept` bounds the number of connections. This module replaces `axum::serve`, which sets no time limit for a request's headers.
//! With it, slow clients could keep connections for ever. Here, `connection` serves a connection within its time limits. `head_timer`
//! limits the time for a request's headers, and the idle time before them. `write_timeout` disconnects a client
//! that reads a response too slowly. `automatic_response` and `unreadable_request` answer what cannot be read as a request with
//! problem details.

mod accept;
mod automatic_response;
mod connection;
mod head_timer;
mod limits;
mod unreadable_request;
mod write_timeout;

use std::{sync::Arc, time::Duration};

use axum::Router;
use forebay_metrics::gateway::ConnectionGauge;
use forebay_runtime::member::Member;
use tokio::{net::TcpListener, time::timeout};
use tokio_util::{
    sync::CancellationToken,
    task::{AbortOnDropHandle, TaskTracker},
};

use crate::{router::router, settings::GatewaySettings, state::ApiState, web_guard::WebGuard};
use accept::Acceptor;
use connection::{ConnectionServer, Timeouts};
pub(crate) use limits::{ServerLimits, WhenFull};

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
        idle_timeout: Duration::from_millis(settings.idle_timeout_ms),
        head_timeout: Duration::from_millis(settings.head_timeout_ms),
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
    let keys = state.keys.clone();
    let key_reads = keys.clone().map(|keys| {
        let of_file = tokio::spawn(keys.file.read_changes());
        let stored = tokio::spawn(keys.stored.read_changes());
        [of_file, stored].map(AbortOnDropHandle::new)
    });
    let limit_reads = match state.limiter.clone() {
        Some(limiter) => {
            limiter.read_stored().await;
            Some(AbortOnDropHandle::new(tokio::spawn(limiter.run())))
        }
        None => None,
    };
    let router = router(state, web_guard);
    serve_router(listener, router, limits, Some(connections), stop).await;
    drop((key_reads, limit_reads));
    if let Some(keys) = keys {
        // Stores when the keys were last used. Otherwise the list of keys would not show these uses.
        keys.stored.record_uses().await;
    }
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
        idle: limits.idle_timeout,
        head: limits.head_timeout,
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::{Router, routing::get};
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{TcpListener, TcpStream},
        time::timeout,
    };
    use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

    use super::{ServerLimits, WhenFull, serve_router};

    const TIMEOUT: Duration = Duration::from_secs(60);
    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

    async fn connect(listener: &std::net::SocketAddr, sent: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(listener).await.expect("connected");
        stream.write_all(sent).await.expect("sent");
        stream
    }

    async fn answer(mut stream: TcpStream) -> Option<String> {
        let mut answer = String::new();
        let read = timeout(TIMEOUT, stream.read_to_string(&mut answer)).await;
        read.ok()?.ok()?;
        Some(answer)
    }

    #[tokio::test]
    async fn a_new_connection_closes_an_idle_one_although_a_busy_one_is_older() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("the address is valid");
        let (finish, busy_begins) = (CancellationToken::new(), CancellationToken::new());
        let (finished, begun) = (finish.clone(), busy_begins.clone());
        let slow = async move || {
            begun.cancel();
            finished.cancelled().await;
            "slow"
        };
        let router = Router::new()
            .route("/", get(async || "quick"))
            .route("/slow", get(slow));
        let limits = ServerLimits {
            connections_max: 3,
            when_full: WhenFull::CloseOldest,
            // No idle connection ends by itself.
            idle_timeout: Duration::from_secs(3_600),
            head_timeout: Duration::from_secs(3_600),
            write_timeout: TIMEOUT,
            drain_time: Duration::ZERO,
        };
        let serving = serve_router(listener, router, limits, None, CancellationToken::new());
        let _server = AbortOnDropHandle::new(tokio::spawn(serving));

        let slow = b"GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n";
        let busy = connect(&address, slow).await;
        busy_begins.cancelled().await;
        let idle = connect(&address, b"").await;
        let unfinished = connect(&address, b"GET / HTTP/1.1\r\n").await;
        for _ in 0..2 {
            let new = answer(connect(&address, REQUEST).await).await;
            let new = new.expect("an answer in time");
            assert!(new.ends_with("quick"), "{new}");
        }
        assert_eq!(
            answer(idle).await.as_deref(),
            Some(""),
            "the idle one is closed"
        );
        finish.cancel();
        let busy = answer(busy).await.expect("an answer in time");
        assert!(busy.ends_with("slow"), "{busy}");
        drop(unfinished);
    }
}
