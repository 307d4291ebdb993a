//! Handles a job whose input is tool results: refuses results that come too late, and waits for the other results of
//! parallel calls.
//!
//! A job with only some of the results waits until another job of its session has more of them. The wait ends at the latest
//! `tool_wait_s` or half of `expires_in_s` after the submit, whichever is shorter. The job stays claimed, but keeps no turns in
//! memory, and normally uses no slot.
//!
//! | what happens during the wait | what the job does |
//! | --- | --- |
//! | another job with more of the results enters the lane | it completes without a call and without a reply: the other job gets the reply, or waits for the rest |
//! | the time of the wait or of the claim has passed | it is released, and its next attempt calls the provider or waits again |
//! | the worker stops | it is released |
//! | the job has ended, or another worker has claimed it | nothing |

use std::{sync::Arc, time::Duration};

use forebay_shared::{
    ids::JobId,
    lane::Lane,
    store::RunInputs,
    time::TimeMs,
    turn::{Role, Turn},
};
use tokio::time::{Instant, sleep};

use super::{call_outcome::CallOutcome, claimed_job::ClaimedJob};
use crate::{
    context::results,
    provider::{Failure, Retry},
    settings::COMMIT_MARGIN_MS,
    worker_context::WorkerContext,
};

/// The shortest and the longest delay between two checks of the lane. Within these bounds, the delay is a quarter of the time
/// that the job has waited.
const CHECK_INTERVAL_MIN: Duration = Duration::from_millis(50);
const CHECK_INTERVAL_MAX: Duration = Duration::from_secs(2);

/// The wait of one job.
pub(super) struct ResultsWait {
    /// The ids of the calls that have no result yet.
    missing: Vec<String>,
    /// The ids of the calls whose results are in the job's input.
    in_input: Vec<String>,
    /// When the wait ends without the results.
    until: TimeMs,
    /// The later jobs that have none of the missing results. Their requests are not read again.
    checked_jobs: Vec<JobId>,
}

impl ResultsWait {
    /// The wait that a job needs. `None` if the provider can be called now. Removes from the job's input the results that the
    /// session has already.
    ///
    /// # Errors
    /// The outcome of a job with a result that no call waits for.
    pub(super) fn needed(
        run_inputs: &mut RunInputs,
        now: TimeMs,
    ) -> Result<Option<Self>, CallOutcome> {
        let RunInputs {
            meta,
            request,
            conversation,
        } = run_inputs;
        let missing = results::keep_new(&conversation.turns, &mut request.input)
            .map_err(|id| unexpected_result(&id))?;
        let wait_ms = u64::from(request.tool_wait_s) * 1_000;
        // The other half of the time until the job expires is for its call.
        let half_expiry_ms = meta.lifetime_ms() / 2;
        let until = meta.created_at.plus_ms(wait_ms.min(half_expiry_ms));
        let has_results = request
            .input
            .first()
            .is_some_and(|turn| turn.role == Role::Tool);
        if !has_results || missing.is_empty() || until <= now {
            return Ok(None);
        }
        let input = request.input.iter();
        Ok(Some(Self {
            missing,
            in_input: input.filter_map(|turn| turn.tool_call_id.clone()).collect(),
            until,
            checked_jobs: Vec::new(),
        }))
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
                        && let Ok(read_permit) =
                            Arc::clone(&worker.results_read_limit).acquire_owned().await
                        && let Ok(Some(mut request)) = store.request(job.job).await
                    {
                        request
                            .input
                            .retain(|result| is_result_of(result, &self.in_input));
                        return CallOutcome::ResultsStored {
                            results: request.input,
                            hold_ms: self.until.since_ms(store.now()),
                            read_permit,
                        };
                    }
                }
                Err(error) => {
                    tracing::debug!(job_id = %job.job, %error, "could not load the lane to look for more tool results; trying again later");
                }
            }
            let now = store.now();
            let claim_left_ms = job.claimed_until.since_ms(now);
            if now >= self.until || claim_left_ms <= COMMIT_MARGIN_MS / 2 {
                return CallOutcome::WaitEnded;
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

    /// Whether a later job of the lane has some of the missing results.
    async fn more_results_follow(
        &mut self,
        worker: &WorkerContext,
        lane: &Lane,
        own: JobId,
    ) -> bool {
        let later = lane.entries.iter().skip_while(|entry| entry.job != own);
        for entry in later.skip(1).filter(|entry| entry.is_tool_results) {
            if self.checked_jobs.contains(&entry.job) {
                continue;
            }
            let _read_permit = worker.results_read_limit.acquire().await;
            let Ok(Some(request)) = worker.member.store.request(entry.job).await else {
                continue;
            };
            if request
                .input
                .iter()
                .any(|turn| is_result_of(turn, &self.missing))
            {
                return true;
            }
            self.checked_jobs.push(entry.job);
        }
        false
    }
}

/// Whether a turn is the result of one of these calls.
fn is_result_of(turn: &Turn, calls: &[String]) -> bool {
    let id = turn.tool_call_id.as_ref();
    id.is_some_and(|id| calls.contains(id))
}

/// The outcome of a job whose result for the call `id` comes too late, or answers no call of its session.
fn unexpected_result(id: &str) -> CallOutcome {
    let failure = Failure::new(
        "unexpected_tool_result",
        format!(
            "no tool call of the session waits for this result: the call has a result already, the session has continued \
             without one after tool_wait_s, or the id is wrong. The result's tool_call_id is {id}"
        ),
        Retry::Never,
    );
    CallOutcome::Failed {
        failure: Box::new(failure),
        provider: None,
    }
}
