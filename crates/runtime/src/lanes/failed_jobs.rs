//! Logs the jobs that fail for good, or expire, at a bounded rate. A commit is the one way in which a job ends, so the jobs that
//! the sweeper ends are logged too.

use std::time::Duration;

use forebay_shared::{
    ids::SessionId,
    job::Status,
    lane::Lane,
    store::{Commit, EndedJob},
};
use tokio::time::sleep;

use crate::log_limit::LogLimit;

/// The most jobs that are logged in each interval.
const LOGGED_MAX: u32 = 10;
const INTERVAL: Duration = Duration::from_secs(1);
/// The most bytes of an error's message that are logged. The message may quote the provider.
const MESSAGE_BYTES_MAX: usize = 300;

/// Logs failed jobs.
pub(super) struct FailedJobsLog {
    limit: LogLimit,
}

impl Default for FailedJobsLog {
    fn default() -> Self {
        Self {
            limit: LogLimit::new(LOGGED_MAX, INTERVAL),
        }
    }
}

impl FailedJobsLog {
    /// Logs the jobs that the commit has ended as failed or expired. `before` is the lane before the commit.
    pub(super) fn log(&self, commit: &Commit, before: &Lane) {
        for ended in &commit.ended {
            let has_failed = matches!(ended.outcome.status, Status::Failed | Status::Expired);
            if has_failed && let Some(earlier) = self.limit.permit() {
                report(earlier);
                log_job(commit, before, ended);
            }
        }
    }

    /// Logs at intervals how many jobs were not logged. Never returns.
    pub(super) async fn report_unlogged(&self) {
        loop {
            sleep(self.limit.interval()).await;
            report(self.limit.take_unlogged());
        }
    }
}

/// Logs how many jobs were not logged, if there are any.
fn report(jobs: u64) {
    if jobs > 0 {
        tracing::warn!(
            jobs,
            "more jobs failed than the log shows: it shows {LOGGED_MAX} a second"
        );
    }
}

fn log_job(commit: &Commit, before: &Lane, ended: &EndedJob) {
    let outcome = &ended.outcome;
    let entry = before.find(ended.job).map(|(_, entry)| entry);
    let error = outcome.error.as_ref();
    let message = error.map_or("", |error| error.message.as_str());
    tracing::warn!(
        job_id = %ended.job,
        session_id = commit.lane.session().map(SessionId::as_str),
        provider = outcome.provider,
        model = entry.and_then(|entry| entry.model.as_deref()),
        attempts = outcome.attempts.len(),
        code = error.map(|error| error.code.as_str()),
        error = &message[..message.floor_char_boundary(MESSAGE_BYTES_MAX)],
        "{}",
        if outcome.status == Status::Expired {
            "a job expired"
        } else {
            "a job failed"
        }
    );
}
