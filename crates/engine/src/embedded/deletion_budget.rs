//! Limits how long one write may delete, so that other writes need not wait long.

use std::time::{Duration, Instant};

/// How long one write may delete.
const BUDGET: Duration = Duration::from_millis(10);

/// The time budget of one write that deletes.
pub(super) struct DeletionBudget(Instant);

impl DeletionBudget {
    /// Starts the budget now.
    pub(super) fn start() -> Self {
        Self(Instant::now())
    }

    /// Whether the write should stop.
    pub(super) fn is_spent(&self) -> bool {
        self.0.elapsed() >= BUDGET
    }
}
