//! What became of a wake: whether its job was claimed, for the metrics; and whether the store answered, for the health of the
//! worker.

use forebay_metrics::worker::ClaimOutcome;

use crate::worker_context::WorkerContext;

/// What became of a wake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WakeEnd {
    outcome: ClaimOutcome,
    /// Whether the store gave a final answer to the claim or the deferral; a refusal is one too. The worker has then handled the
    /// wake, so it is not wedged.
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

    /// The claim or the deferral got no final answer, so the worker has not handled the wake. The store may have answered other
    /// requests.
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
