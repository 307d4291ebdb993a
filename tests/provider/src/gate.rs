//! Holding replies back: requests wait at a barrier until the test opens its gate.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::request::ChatRequest;

type Holds = dyn Fn(&ChatRequest) -> bool + Send + Sync;

/// Lets requests pass a barrier. Dropping it lets all requests pass.
#[must_use = "a gate that is dropped is open"]
pub struct Gate {
    passes: Arc<Semaphore>,
}

impl Gate {
    /// Lets `count` requests pass: first the waiting ones, then later ones.
    pub fn release(&self, count: usize) {
        self.passes.add_permits(count);
    }

    /// Lets all requests pass, later ones too.
    pub fn open(&self) {
        self.passes.close();
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.open();
    }
}

/// Where requests wait for their gate.
#[derive(Clone)]
pub(super) struct Barrier {
    passes: Arc<Semaphore>,
    holds: Arc<Holds>,
}

impl Barrier {
    /// A barrier for the requests for which `holds` returns true.
    pub(super) fn new(
        holds: impl Fn(&ChatRequest) -> bool + Send + Sync + 'static,
    ) -> (Self, Gate) {
        let passes = Arc::new(Semaphore::new(0));
        let gate = Gate {
            passes: Arc::clone(&passes),
        };
        let holds = Arc::new(holds);
        (Self { passes, holds }, gate)
    }

    /// Whether this request has to wait here.
    pub(super) fn holds(&self, request: &ChatRequest) -> bool {
        !self.passes.is_closed() && (self.holds)(request)
    }

    /// Waits until the gate lets this request pass.
    pub(super) async fn pass(&self) {
        if let Ok(permit) = self.passes.acquire().await {
            permit.forget();
        }
    }
}
