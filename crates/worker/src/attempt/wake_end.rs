//! How a wake ended without an attempt, or with a claim: for the metrics, and for the health of the worker.

use forebay_metrics::worker::ClaimOutcome;

use crate::worker_context::WorkerContext;

/// How a wake ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WakeEnd {
    outcome: ClaimOutcome,
    /// Whether the store has answered, be it with a refusal. A restart of the worker would then not help.
    is_answered: bool,
}

impl WakeEnd {
    /// The store has answered.
    pub(super) const fn answered(outcome: ClaimOutcome) -> Self {
        Self {
            outcome,
            is_answered: true,
        }
    }

    /// The store has not answered, or was not asked.
    pub(super) const fn unanswered(outcome: ClaimOutcome) -> Self {
        Self {
            outcome,
            is_answered: false,
        }
    }

    /// Counts the wake. The worker has handled it if the store has answered.
    pub(super) fn count(self, worker: &WorkerContext) {
        worker.member.metrics.worker.count_claim(self.outcome);
        if self.is_answered {
            worker.member.worker_health.record_handled_wake();
        }
    }
}
