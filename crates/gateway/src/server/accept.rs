//! Accepts connections, and bounds how many are open.

use std::{collections::VecDeque, io, sync::Arc, time::Duration};

use forebay_metrics::gateway::ConnectionGauge;
use forebay_runtime::log_limit::LogLimit;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    connection::ConnectionServer,
    limits::{ServerLimits, WhenFull},
};

/// The pause after a failed accept. The usual cause is a lack of file descriptors or memory.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(100);
/// How often a failed accept is logged.
const ACCEPT_LOG_INTERVAL: Duration = Duration::from_secs(10);
/// How long a new connection waits for the end of the oldest one before the next oldest is closed too. The oldest may be busy.
const CLOSE_INTERVAL: Duration = Duration::from_millis(50);

/// Accepts the connections of a server.
pub(super) struct Acceptor<'a> {
    connections_max: usize,
    when_full: WhenFull,
    permits: Arc<Semaphore>,
    tasks: &'a TaskTracker,
    server: &'a ConnectionServer,
    /// Counts the open connections.
    gauge: Option<ConnectionGauge>,
    /// The tokens that close the open connections, from the oldest to the newest. Those of ended connections are cancelled. Only
    /// [`WhenFull::CloseOldest`] keeps them.
    stops: VecDeque<CancellationToken>,
}

impl<'a> Acceptor<'a> {
    pub(super) fn new(
        limits: &ServerLimits,
        tasks: &'a TaskTracker,
        server: &'a ConnectionServer,
        gauge: Option<ConnectionGauge>,
    ) -> Self {
        let connections_max = limits.connections_max.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            connections_max,
            when_full: limits.when_full,
            permits: Arc::new(Semaphore::new(connections_max)),
            tasks,
            server,
            gauge,
            stops: VecDeque::new(),
        }
    }

    /// Accepts connections for as long as it is polled.
    pub(super) async fn run(&mut self, listener: &TcpListener) {
        let log_limit = LogLimit::new(1, ACCEPT_LOG_INTERVAL);
        loop {
            let accepted = match self.when_full {
                WhenFull::Wait => {
                    let Some(permit) = self.permit().await else {
                        return;
                    };
                    let accepted = listener.accept().await;
                    accepted.map(|(stream, _)| (stream, Some(permit)))
                }
                WhenFull::CloseOldest => {
                    let accepted = listener.accept().await;
                    accepted.map(|(stream, _)| (stream, None))
                }
            };
            match accepted {
                Ok((stream, Some(permit))) => self.serve(stream, permit),
                Ok((stream, None)) => {
                    let Some(permit) = self.permit_of_oldest().await else {
                        return;
                    };
                    self.serve(stream, permit);
                }
                Err(error) if client_disconnected(&error) => {}
                Err(error) => {
                    if let Some(earlier_errors) = log_limit.permit() {
                        tracing::warn!(
                            %error,
                            retry_ms = ACCEPT_RETRY_DELAY.as_millis(),
                            earlier_errors,
                            "cannot accept a connection; trying again"
                        );
                    }
                    sleep(ACCEPT_RETRY_DELAY).await;
                }
            }
        }
    }

    /// Waits for a permit. `None` never happens in practice, because the semaphore is never closed.
    async fn permit(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.permits).acquire_owned().await.ok()
    }

    /// Closes the oldest connections until there is a permit.
    async fn permit_of_oldest(&mut self) -> Option<OwnedSemaphorePermit> {
        if let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() {
            return Some(permit);
        }
        self.stops.retain(|stop| !stop.is_cancelled());
        while let Some(stop) = self.stops.pop_front() {
            stop.cancel();
            if let Ok(permit) = timeout(CLOSE_INTERVAL, self.permit()).await {
                return permit;
            }
        }
        self.permit().await
    }

    fn serve(&mut self, stream: TcpStream, permit: OwnedSemaphorePermit) {
        let stop = (self.when_full == WhenFull::CloseOldest).then(CancellationToken::new);
        if let Some(stop) = &stop {
            if self.stops.len() >= 2 * self.connections_max {
                self.stops.retain(|stop| !stop.is_cancelled());
            }
            self.stops.push_back(stop.clone());
        }
        let counted = self.gauge.as_ref().map(ConnectionGauge::open);
        let serving = self.server.serve(stream, stop.clone());
        let ended = stop.map(CancellationToken::drop_guard);
        self.tasks.spawn(async move {
            serving.await;
            drop((permit, counted, ended));
        });
    }
}

/// Returns whether the client ended the connection before it was accepted.
fn client_disconnected(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
    )
}
