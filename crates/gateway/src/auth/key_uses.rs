//! When a stored key was used. Requests only set a time in memory; a task records it in the store.

use std::sync::atomic::{AtomicU64, Ordering};

use forebay_shared::time::TimeMs;

/// The last use of a key, and the last one that the store has. 0 for none.
pub(super) struct KeyUses {
    last_ms: AtomicU64,
    recorded_ms: AtomicU64,
}

impl KeyUses {
    /// The uses of a key whose last use, if there is one, is in the store.
    pub(super) fn recorded(at: Option<TimeMs>) -> Self {
        let ms = at.unwrap_or_default().0;
        Self {
            last_ms: AtomicU64::new(ms),
            recorded_ms: AtomicU64::new(ms),
        }
    }

    /// Remembers that the key is used now.
    pub(super) fn remember_use(&self, now: TimeMs) {
        // Two requests may store their times in the wrong order. These times differ so little that this does not matter.
        self.last_ms.store(now.0, Ordering::Relaxed);
    }

    /// The last use, if the store does not have it.
    pub(super) fn unrecorded(&self) -> Option<TimeMs> {
        let last_ms = self.last_ms.load(Ordering::Relaxed);
        (last_ms > self.recorded_ms.load(Ordering::Relaxed)).then_some(TimeMs(last_ms))
    }

    /// Remembers that the store has this use.
    pub(super) fn set_recorded(&self, at: TimeMs) {
        self.recorded_ms.store(at.0, Ordering::Relaxed);
    }
}
