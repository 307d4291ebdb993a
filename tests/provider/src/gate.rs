//! A barrier holds back the replies to some requests. The test lets these requests pass with the barrier's gate.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::request::ChatRequest;

type Filter = dyn Fn(&ChatRequest) -> bool + Send + Sync;

/// The test's handle of a barrier. Dropping the gate lets all requests pass.
#[must_use = "dropping a gate opens it"]
pub struct Gate {
    permits: Arc<Semaphore>,
}

impl Gate {
    /// Lets `count` requests pass: first those that wait, then those that arrive later.
    pub fn release(&self, count: usize) {
        self.permits.add_permits(count);
    }

    /// Lets all requests pass, also those that arrive later.
    pub fn open(&self) {
        self.permits.close();
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.open();
    }
}

/// A point at which some requests wait until the gate lets them pass.
#[derive(Clone)]
pub(super) struct Barrier {
    permits: Arc<Semaphore>,
    filter: Arc<Filter>,
}

impl Barrier {
    /// A barrier for the requests for which `filter` returns true.
    pub(super) fn new(
        filter: impl Fn(&ChatRequest) -> bool + Send + Sync + 'static,
    ) -> (Self, Gate) {
        let permits = Arc::new(Semaphore::new(0));
        let gate = Gate {
            permits: Arc::clone(&permits),
        };
        let filter = Arc::new(filter);
        (Self { permits, filter }, gate)
    }

    /// Whether this request has to wait here.
    pub(super) fn stops(&self, request: &ChatRequest) -> bool {
        !self.permits.is_closed() && (self.filter)(request)
    }

    /// Waits until the gate lets this request pass.
    pub(super) async fn pass(&self) {
        if let Ok(permit) = self.permits.acquire().await {
            permit.forget();
        }
    }
}
