//! How long one write may spend on deleting before it lets other writes run.

use std::time::{Duration, Instant};

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
