//! The surplus: ready heads that have no wake, because the queue was full.
//!
//! While a class has a surplus, only the sweeper's wakes for the surplus are published, so that no new head overtakes it. When half
//! of the queue is free, the sweeper sends these wakes (`sweeper/refill.rs`). So the timers of the surplus need not be due soon.

use std::sync::atomic::{AtomicBool, Ordering};

use forebay_shared::class::Class;

/// Which classes have a surplus.
#[derive(Debug, Default)]
pub(super) struct Surplus {
    exists: [AtomicBool; Class::ALL.len()],
}

impl Surplus {
    /// Whether the class has a surplus, so that other wakes of the class are not published.
    pub(super) fn exists(&self, class: Class) -> bool {
        self.exists[class as usize].load(Ordering::Acquire)
    }

    /// Records that the class has a surplus.
    pub(super) fn record(&self, class: Class) {
        self.exists[class as usize].store(true, Ordering::Release);
    }

    /// Lets all wakes of the class be published again. The sweeper calls this before it wakes the surplus, and records the surplus
    /// again if it could not wake all of it.
    pub(super) fn clear(&self, class: Class) {
        self.exists[class as usize].store(false, Ordering::Release);
    }
}
