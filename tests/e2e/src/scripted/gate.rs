//! A gate: requests wait at it until the test lets them through.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::request::ChatRequest;

type Concerns = dyn Fn(&ChatRequest) -> bool + Send + Sync;

/// Holds back the replies to the requests it concerns. Dropping it opens it for good.
#[must_use = "a gate that is dropped is open"]
pub struct Gate {
    passes: Arc<Semaphore>,
}

impl Gate {
    /// Lets `count` requests through: those waiting first, then those that come.
    pub fn release(&self, count: usize) {
        self.passes.add_permits(count);
    }

    /// Opens it for good.
    pub fn open(&self) {
        self.passes.close();
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.open();
    }
}

/// The server's side of a gate.
#[derive(Clone)]
pub(super) struct Bar {
    passes: Arc<Semaphore>,
    concerns: Arc<Concerns>,
}

impl Bar {
    pub(super) fn new(
        concerns: impl Fn(&ChatRequest) -> bool + Send + Sync + 'static,
    ) -> (Self, Gate) {
        let passes = Arc::new(Semaphore::new(0));
        let gate = Gate {
            passes: Arc::clone(&passes),
        };
        let concerns = Arc::new(concerns);
        (Self { passes, concerns }, gate)
    }

    /// Whether this request has to wait here.
    pub(super) fn concerns(&self, request: &ChatRequest) -> bool {
        !self.passes.is_closed() && (self.concerns)(request)
    }

    /// Waits for a pass, or for the gate to be opened for good.
    pub(super) async fn pass(&self) {
        if let Ok(permit) = self.passes.acquire().await {
            permit.forget();
        }
    }
}
