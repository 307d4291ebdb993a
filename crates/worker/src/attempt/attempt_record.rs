//! Counts in the metrics how attempts end.

use forebay_metrics::worker::AttemptOutcome;

use super::{call_outcome::CallOutcome, claimed_job::ClaimedJob};
use crate::{provider::Retry, worker_context::WorkerContext};

/// How an attempt will be counted if its outcome is committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AttemptRecord(AttemptOutcome);

impl AttemptRecord {
    /// The record of an outcome, which is not committed yet.
    pub(super) fn of(outcome: &CallOutcome, job: &ClaimedJob, tries_max: u32) -> Self {
        Self(match outcome {
            CallOutcome::Answered(_) | CallOutcome::ResultsStored { .. } => {
                AttemptOutcome::Completed
            }
            CallOutcome::Failed { failure, .. } => match failure.retry {
                Retry::Never | Retry::LessContext => AttemptOutcome::Failed,
                Retry::Backoff | Retry::AfterMs(_) if job.tries + 1 >= tries_max => {
                    AttemptOutcome::Failed
                }
                Retry::Backoff | Retry::AfterMs(_) => AttemptOutcome::Retried,
            },
            CallOutcome::Deferred(_) => AttemptOutcome::Deferred,
            CallOutcome::Dropped { .. } => AttemptOutcome::Dropped,
            CallOutcome::Interrupted | CallOutcome::WaitEnded => AttemptOutcome::Released,
        })
    }

    /// Counts the attempt. `code` is the code of its end; `None` if its outcome was not committed.
    pub(super) fn count(self, worker: &WorkerContext, code: Option<&str>) {
        let metrics = &worker.member.metrics.worker;
        let Some(code) = code else {
            metrics.count_attempt(AttemptOutcome::Dropped);
            return;
        };
        metrics.count_attempt(self.0);
        match self.0 {
            AttemptOutcome::Retried => metrics.count_retry(code),
            AttemptOutcome::Deferred => metrics.count_deferral(code),
            _ => {}
        }
    }
}
