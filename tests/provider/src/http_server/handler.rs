//! What a connection gets from its server: the handler of its requests, and the request to shut down.

use std::{pin::Pin, sync::Arc};

use tokio::sync::watch;

use super::exchange::Exchange;

/// What the server does with each request.
pub(super) type Handler =
    Arc<dyn Fn(Exchange) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// Tells a connection to end in an orderly way.
pub(super) struct Shutdown(pub(super) watch::Receiver<()>);

impl Shutdown {
    /// Returns when the connection is to end.
    pub(super) async fn requested(&mut self) {
        if self.0.changed().await.is_err() {
            // The server has ended, and this task ends with it.
            std::future::pending::<()>().await;
        }
    }
}
