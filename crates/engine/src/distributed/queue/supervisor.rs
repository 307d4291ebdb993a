//! Keeps one connection to the broker: when a generation has ended, builds the next, for ever.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use forebay_shared::backoff::Backoff;
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::link::{Link, Links, Purpose, Site};

/// The longest delay is short, so that a broker that is back is used soon: this delay counts against the
/// 30 seconds for which submits are accepted without a broker. A refused connection attempt costs little.
const RECONNECT: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));

/// A generation that lived so long was a good one: the next failure is a new trouble.
const GOOD_AFTER: Duration = Duration::from_secs(5);

/// Begins to keep a connection, until `closed`.
pub(super) fn supervise(
    site: &Arc<Site>,
    purpose: Purpose,
    closed: &CancellationToken,
    tasks: &TaskTracker,
) -> Links {
    let (generations, links) = watch::channel(None);
    let (site, closed) = (Arc::clone(site), closed.clone());
    tasks.spawn(async move { keep(&site, purpose, &closed, &generations).await });
    Links(links)
}

async fn keep(
    site: &Site,
    purpose: Purpose,
    closed: &CancellationToken,
    generations: &watch::Sender<Option<Arc<Link>>>,
) {
    let mut failures = 0_u32;
    let mut away_since: Option<Instant> = None;
    loop {
        let opened = tokio::select! {
            () = closed.cancelled() => return,
            opened = Link::open(site, purpose) => opened,
        };
        match opened {
            Ok(link) => {
                let away_ms = away_since.take().map(|since| since.elapsed().as_millis());
                tracing::info!(
                    purpose = purpose.as_str(),
                    at = ?site.endpoint,
                    away_ms,
                    "connected to RabbitMQ"
                );
                let link = Arc::new(link);
                let since = Instant::now();
                generations.send_replace(Some(Arc::clone(&link)));
                tokio::select! {
                    () = closed.cancelled() => {}
                    () = link.watch() => {}
                }
                // First, so that nobody begins anything on it while it says goodbye.
                generations.send_replace(None);
                link.close().await;
                if since.elapsed() >= GOOD_AFTER {
                    failures = 0;
                }
                away_since = Some(Instant::now());
            }
            // Once for each outage, not once for each try.
            Err(error) if away_since.is_none() => {
                let error: &(dyn std::error::Error + 'static) = &error;
                let at = &site.endpoint;
                tracing::warn!(
                    purpose = purpose.as_str(),
                    ?at,
                    error,
                    "cannot reach RabbitMQ"
                );
                away_since = Some(Instant::now());
            }
            Err(error) => {
                let error: &(dyn std::error::Error + 'static) = &error;
                tracing::debug!(
                    purpose = purpose.as_str(),
                    error,
                    "still cannot reach RabbitMQ"
                );
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
