//! The most calls that a scripted LLM works on at a time. A further call is answered with 503, as by an overloaded service.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

/// The capacity of a server; no limit by default.
#[derive(Debug)]
pub(super) struct Capacity {
    calls_max: AtomicU32,
    in_flight: Arc<AtomicU32>,
}

/// The permit of a call that the server works on. Dropping it frees the permit.
pub(super) struct CapacityPermit(Arc<AtomicU32>);

impl Default for Capacity {
    fn default() -> Self {
        Self {
            calls_max: AtomicU32::new(u32::MAX),
            in_flight: Arc::default(),
        }
    }
}

impl Capacity {
    pub(super) fn set(&self, calls_max: u32) {
        self.calls_max.store(calls_max, Ordering::SeqCst);
    }

    /// Takes a permit; `None` if all are taken.
    pub(super) fn enter(&self) -> Option<CapacityPermit> {
        let calls_max = self.calls_max.load(Ordering::SeqCst);
        let permit = CapacityPermit(Arc::clone(&self.in_flight));
        // The drop of `permit` subtracts what this adds.
        let before = self.in_flight.fetch_add(1, Ordering::SeqCst);
        (before < calls_max).then_some(permit)
    }
}

impl Drop for CapacityPermit {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
