//! What the server passes to each connection: the handler of requests, and the signal to shut down.

use std::{pin::Pin, sync::Arc};

use tokio::sync::watch;

use super::exchange::Exchange;

/// What the server does with each request.
pub(super) type Handler =
    Arc<dyn Fn(Exchange) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// The signal to end a connection in an orderly way.
pub(super) struct Shutdown(pub(super) watch::Receiver<()>);

impl Shutdown {
    /// Waits for the signal.
    pub(super) async fn wait(&mut self) {
        if self.0.changed().await.is_err() {
            // The server has ended, and this task ends with it.
            std::future::pending::<()>().await;
        }
    }
}
