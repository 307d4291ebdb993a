//! Holds a slot of the worker while a job runs in it.

use forebay_runtime::worker_health::UsedSlot;
use forebay_shared::class::Class;
use tokio::sync::mpsc;

/// A slot in use. Dropping the guard notifies the intake that the slot is free.
pub(crate) struct SlotGuard {
    class: Class,
    freed: mpsc::UnboundedSender<Class>,
    /// Counts the slot for the health check and the metrics.
    _used: UsedSlot,
}

impl SlotGuard {
    /// A slot that runs a job of `class`. When the guard is dropped, it sends `class` to `freed`.
    pub(crate) const fn new(
        class: Class,
        freed: mpsc::UnboundedSender<Class>,
        used: UsedSlot,
    ) -> Self {
        Self {
            class,
            freed,
            _used: used,
        }
    }
}

impl Drop for SlotGuard {
    fn drop(&mut self) {
        // The send fails only after the intake has ended, when slots no longer matter.
        let _ = self.freed.send(self.class);
    }
}
