//! The accept loop: connections within a bound, each with limits on the time its client may take, and
//! an orderly end.
//!
//! `axum::serve` sets no limit on the time a client takes for its headers, so slow clients would hold
//! connections for ever: hence a loop of our own.

mod connection;
mod stall;

use std::{io, sync::Arc, time::Duration};

use forebay_runtime::member::Member;
use tokio::{net::TcpListener, sync::Semaphore, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{api::Api, router::router, settings::GatewaySettings};
use connection::{Connections, Limits};

/// The pause after an accept that failed for want of file descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves the API on `listener` until `stop` is cancelled and the requests under way have ended, or
/// `drain_ms` have passed.
pub async fn serve(
    listener: TcpListener,
    member: Arc<Member>,
    settings: GatewaySettings,
    stop: CancellationToken,
) {
    let drain_time = Duration::from_millis(settings.drain_ms);
    let free = Arc::new(Semaphore::new(
        settings.connections_max.clamp(1, Semaphore::MAX_PERMITS),
    ));
    let limits = Limits {
        header_read_time: Duration::from_millis(settings.header_read_ms),
        write_stall_max: Duration::from_millis(settings.write_stall_ms),
    };
    let api = Arc::new(Api::new(member, settings, stop.clone()));
    // Cancelled when the drain's time is up, or when this future is dropped.
    let cut = CancellationToken::new();
    let _cut_at_the_end = cut.clone().drop_guard();
    let tasks = TaskTracker::new();
    let connections = Connections::new(router(api), limits, stop.clone(), cut.clone());

    let accepting = accept(&listener, &free, &tasks, &connections);
    stop.run_until_cancelled(accepting).await;
    // From here on the kernel refuses who comes, so that they try elsewhere at once.
    drop(listener);
    tasks.close();
    if timeout(drain_time, tasks.wait()).await.is_err() {
        tracing::warn!(open = tasks.len(), "connections were cut off at the end");
        cut.cancel();
        tasks.wait().await;
    }
}

/// Accepts connections, no more than there is room for, for as long as it is polled.
async fn accept(
    listener: &TcpListener,
    free: &Arc<Semaphore>,
    tasks: &TaskTracker,
    connections: &Connections,
) {
    // The semaphore is never closed.
    while let Ok(room) = Arc::clone(free).acquire_owned().await {
        match listener.accept().await {
            Ok((stream, _)) => {
                let serving = connections.serve(stream);
                tasks.spawn(async move {
                    serving.await;
                    drop(room);
                });
            }
            // The client was gone before it was accepted.
            Err(error) if is_of_the_client(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "no connection can be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn is_of_the_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
    )
}
