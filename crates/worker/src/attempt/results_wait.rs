//! The wait of a job that hands in only some of the results of parallel tool calls.
//!
//! The job waits until another job of its session hands in more of the results, at most its `tool_wait_s`. It stays claimed,
//! but uses no slot and keeps no turns in memory.
//!
//! | what happens during the wait | what the job does |
//! | --- | --- |
//! | another job with more of the results enters the lane | it completes without a call and without a reply: the other job gets the reply, or waits for the rest |
//! | the time of the wait or of the claim has passed | it is released, and its next attempt calls the provider or waits again |
//! | the worker stops | it is released |
//! | the job has ended, or another worker has claimed it | nothing |

use std::time::Duration;

use forebay_shared::{
    ids::JobId,
    lane::Lane,
    store::RunInputs,
    time::TimeMs,
    turn::{Role, Turn},
};
use tokio::time::{Instant, sleep};

use super::{call_outcome::CallOutcome, claimed_job::ClaimedJob};
use crate::{context::results, settings::COMMIT_MARGIN_MS, worker_context::WorkerContext};

/// The shortest and the longest delay between two looks at the lane. In between, the delay is a quarter of the time that the
/// job has waited.
const CHECK_INTERVAL_MIN: Duration = Duration::from_millis(50);
const CHECK_INTERVAL_MAX: Duration = Duration::from_secs(2);

/// The wait of one job.
pub(super) struct ResultsWait {
    /// The ids of the calls that have no result yet.
    missing: Vec<String>,
    /// When the wait ends without the results.
    until: TimeMs,
    /// The jobs of the lane that hand in none of the missing results.
    other_jobs: Vec<JobId>,
}

impl ResultsWait {
    /// The wait that a job needs. `None` if the provider can be called now.
    pub(super) fn needed(run_inputs: &RunInputs, now: TimeMs) -> Option<Self> {
        let (session, input) = (&run_inputs.conversation.turns, &run_inputs.request.input);
        let until = run_inputs
            .meta
            .created_at
            .plus_ms(u64::from(run_inputs.request.tool_wait_s) * 1_000);
        let hands_in_results = input.first().is_some_and(|turn| turn.role == Role::Tool);
        if !hands_in_results || until <= now || results::unexpected(session, input).is_some() {
            return None;
        }
        let missing = results::missing(session, input);
        (!missing.is_empty()).then(|| Self {
            missing: missing.into_iter().map(str::to_owned).collect(),
            until,
            other_jobs: Vec::new(),
        })
    }

    /// Waits, and returns how the attempt ends.
    pub(super) async fn run(mut self, worker: &WorkerContext, job: &ClaimedJob) -> CallOutcome {
        let began = Instant::now();
        let store = &worker.member.store;
        loop {
            match store.load(&job.lane, &[], None).await {
                Ok(loaded) => {
                    let entry = loaded.lane.find(job.job);
                    if entry.is_none_or(|(_, entry)| entry.fence != job.fence) {
                        return CallOutcome::Dropped {
                            reason: "the job has ended, or another worker has claimed it",
                        };
                    }
                    if self
                        .more_results_follow(worker, &loaded.lane, job.job)
                        .await
                        && let Ok(Some(request)) = store.request(job.job).await
                    {
                        return CallOutcome::ResultsStored {
                            results: request.input,
                            hold_ms: self.until.since_ms(store.now()),
                        };
                    }
                }
                Err(error) => {
                    tracing::debug!(job_id = %job.job, %error, "could not look for more tool results; looking again later");
                }
            }
            let now = store.now();
            let claim_left_ms = job.claimed_until.since_ms(now);
            if now >= self.until || claim_left_ms <= COMMIT_MARGIN_MS / 2 {
                return CallOutcome::Interrupted;
            }
            let delay = (began.elapsed() / 4)
                .clamp(CHECK_INTERVAL_MIN, CHECK_INTERVAL_MAX)
                .min(Duration::from_millis(self.until.since_ms(now)));
            if worker
                .stop
                .run_until_cancelled(sleep(delay))
                .await
                .is_none()
            {
                return CallOutcome::Interrupted;
            }
        }
    }

    /// Whether a later job of the lane hands in some of the missing results.
    async fn more_results_follow(
        &mut self,
        worker: &WorkerContext,
        lane: &Lane,
        own: JobId,
    ) -> bool {
        let later = lane.entries.iter().skip_while(|entry| entry.job != own);
        for entry in later.skip(1).filter(|entry| entry.is_tool_results) {
            if self.other_jobs.contains(&entry.job) {
                continue;
            }
            let Ok(Some(request)) = worker.member.store.request(entry.job).await else {
                continue;
            };
            if self.are_missing(&request.input) {
                return true;
            }
            self.other_jobs.push(entry.job);
        }
        false
    }

    /// Whether an input consists of missing results.
    fn are_missing(&self, input: &[Turn]) -> bool {
        input.iter().all(|turn| {
            let id = turn.tool_call_id.as_ref();
            id.is_some_and(|id| self.missing.contains(id))
        })
    }
}
