//! How long a write that deletes may hold up the others.

use std::time::{Duration, Instant};

const MOMENT: Duration = Duration::from_millis(10);

/// A moment, from when it is made.
pub(super) struct Moment(Instant);

impl Moment {
    pub(super) fn begin() -> Self {
        Self(Instant::now())
    }

    pub(super) fn is_over(&self) -> bool {
        self.0.elapsed() >= MOMENT
    }
}
