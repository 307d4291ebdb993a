//! Keeps a connection to the broker open. When the connection ends, the supervisor opens another, until the queue
//! closes.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use forebay_shared::backoff::Backoff;
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::connection::{BrokerConfig, BrokerConnection, Purpose};

/// The delays between attempts to connect. The longest delay is short, because it can prolong an outage, and the
/// gateway refuses submits after 30 seconds of failed publishes. A refused attempt costs little.
const RECONNECT: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));

/// A connection that stayed open this long resets the backoff, because its end is a new outage.
const STABLE_AFTER: Duration = Duration::from_secs(5);

/// Spawns the task that keeps a connection open until `closed` is cancelled.
pub(super) fn supervise(
    config: &Arc<BrokerConfig>,
    purpose: Purpose,
    closed: &CancellationToken,
    tasks: &TaskTracker,
) -> CurrentConnection {
    let (sender, receiver) = watch::channel(None);
    let (config, closed) = (Arc::clone(config), closed.clone());
    tasks.spawn(async move { keep_connected(&config, purpose, &closed, &sender).await });
    CurrentConnection(receiver)
}

/// The open connection, if there is one.
#[derive(Clone, Debug)]
pub(super) struct CurrentConnection(watch::Receiver<Option<Arc<BrokerConnection>>>);

impl CurrentConnection {
    pub(super) fn get(&self) -> Option<Arc<BrokerConnection>> {
        let connection = self.0.borrow().clone();
        // A failed connection stays here until the supervisor replaces it.
        connection.filter(|connection| !connection.has_ended())
    }

    /// Waits for an open connection. Returns `None` when the supervisor has stopped.
    pub(super) async fn wait(&mut self) -> Option<Arc<BrokerConnection>> {
        loop {
            // This call comes before `get`, so that `changed` also returns if the connection changes during `get`.
            self.0.mark_unchanged();
            if let Some(connection) = self.get() {
                return Some(connection);
            }
            self.0.changed().await.ok()?;
        }
    }
}

async fn keep_connected(
    config: &BrokerConfig,
    purpose: Purpose,
    closed: &CancellationToken,
    current: &watch::Sender<Option<Arc<BrokerConnection>>>,
) {
    let broker = &config.endpoint;
    let purpose_name = purpose.as_str();
    let mut failures = 0_u32;
    let mut down_since: Option<Instant> = None;
    loop {
        let opened = tokio::select! {
            () = closed.cancelled() => return,
            opened = BrokerConnection::open(config, purpose) => opened,
        };
        match opened {
            Ok(connection) => {
                let down_ms = down_since.take().map(|since| since.elapsed().as_millis());
                tracing::info!(
                    purpose = purpose_name,
                    ?broker,
                    down_ms,
                    "connected to RabbitMQ"
                );
                let connection = Arc::new(connection);
                let opened_at = Instant::now();
                current.send_replace(Some(Arc::clone(&connection)));
                tokio::select! {
                    () = closed.cancelled() => {}
                    () = connection.monitor() => {
                        config.connections_lost.fetch_add(1, Ordering::Relaxed);
                    }
                }
                // The connection is removed from `current` before the close, so that no task uses it while it closes.
                current.send_replace(None);
                connection.close().await;
                if opened_at.elapsed() >= STABLE_AFTER {
                    failures = 0;
                }
                down_since = Some(Instant::now());
            }
            Err(error) => {
                let error: &(dyn std::error::Error + 'static) = &error;
                // Each outage logs one warning, however many attempts fail.
                if down_since.is_none() {
                    tracing::warn!(
                        purpose = purpose_name,
                        ?broker,
                        error,
                        "cannot connect to RabbitMQ; retrying until it answers"
                    );
                    down_since = Some(Instant::now());
                } else {
                    tracing::debug!(
                        purpose = purpose_name,
                        error,
                        "still cannot connect to RabbitMQ"
                    );
                }
            }
        }
        let delay = RECONNECT.delay(failures, rand::random());
        failures = failures.saturating_add(1);
        tokio::select! {
            () = closed.cancelled() => return,
            () = tokio::time::sleep(delay) => {}
        }
    }
}
