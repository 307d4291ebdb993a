//! The surplus: ready heads that have no wake, because the queue was full.
//!
//! While a class has a surplus, no wake of the class is published, so that no new head overtakes the surplus. When half of the
//! queue is free, the sweeper wakes heads that have no wake (`sweeper/refill.rs`). So the timers of these heads need not be due
//! soon.

use std::sync::atomic::{AtomicBool, Ordering};

use forebay_shared::class::Class;

/// Which classes have a surplus.
#[derive(Debug, Default)]
pub(super) struct Surplus {
    exists: [AtomicBool; Class::ALL.len()],
}

impl Surplus {
    /// Whether the class has a surplus.
    pub(super) fn exists(&self, class: Class) -> bool {
        self.exists[class as usize].load(Ordering::Acquire)
    }

    /// Records that the class has a surplus.
    pub(super) fn record(&self, class: Class) {
        self.exists[class as usize].store(true, Ordering::Release);
    }

    /// Records that the class has no surplus any more, as far as this process knows.
    pub(super) fn clear(&self, class: Class) {
        self.exists[class as usize].store(false, Ordering::Release);
    }
}
