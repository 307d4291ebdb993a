//! How an attempt ended, for the log and the metrics. It is known only after the commit.

use forebay_metrics::worker::AttemptOutcome;

use crate::worker_context::WorkerContext;

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AttemptEnd {
    outcome: AttemptOutcome,
    /// How the attempt ended or the code of its error, for the log. For the metrics, the reason of a retry or of a deferral.
    pub(super) code: String,
}

impl AttemptEnd {
    pub(super) const fn new(outcome: AttemptOutcome, code: String) -> Self {
        Self { outcome, code }
    }

    /// Whether the attempt failed: its job has failed too, or is queued for another try.
    pub(super) const fn is_error(&self) -> bool {
        matches!(
            self.outcome,
            AttemptOutcome::Failed | AttemptOutcome::Retried
        )
    }

    /// Whether the job is queued for another try.
    pub(super) const fn is_retried(&self) -> bool {
        matches!(self.outcome, AttemptOutcome::Retried)
    }

    pub(super) fn completed(code: &str) -> Self {
        Self::new(AttemptOutcome::Completed, code.to_owned())
    }

    pub(super) const fn failed(code: String) -> Self {
        Self::new(AttemptOutcome::Failed, code)
    }

    pub(super) fn released(code: &str) -> Self {
        Self::new(AttemptOutcome::Released, code.to_owned())
    }
}

/// Counts an attempt. `end` is `None` if no outcome was committed. Such an attempt counts as dropped.
pub(super) fn count(worker: &WorkerContext, end: Option<&AttemptEnd>) {
    let metrics = &worker.member.metrics.worker;
    let Some(AttemptEnd { outcome, code }) = end else {
        metrics.count_attempt(AttemptOutcome::Dropped);
        return;
    };
    metrics.count_attempt(*outcome);
    match outcome {
        AttemptOutcome::Retried => metrics.count_retry(code),
        AttemptOutcome::Deferred => metrics.count_deferral(code),
        _ => {}
    }
}
