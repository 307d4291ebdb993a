//! The commit of what an attempt came to: a reply, a failure, another try, or a release.

use std::time::Duration;

use forebay_runtime::lanes::{Change, FinishContent, LaneError};
use forebay_shared::{
    job::{JobError, Reply},
    session::TokenMeasure,
    store::StoreError,
};
use tokio::time::sleep;

use super::{Attempt, Desk, ask::Answered, call::Called};
use crate::{backoff, provider::Retry};

/// How long one try of a commit may take. A reply is dear, so it outlasts most outages.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a release may take while the worker shuts down: less than
/// [`RELEASING_MS_MAX`](crate::RELEASING_MS_MAX).
const RELEASE_PATIENCE: Duration = Duration::from_millis(1_800);
/// The pause between two tries.
const PAUSE: Duration = Duration::from_secs(1);

/// What is told of an attempt that ended well.
const COMPLETED: &str = "completed";

/// Commits what an attempt came to, and says so in the log.
pub(super) async fn settle(desk: &Desk, attempt: &Attempt, called: Called) {
    let code = match called {
        Called::Answered(answered) => {
            let finish = finish(*answered);
            if !commit(desk, attempt, || finish.change(attempt)).await {
                return;
            }
            COMPLETED.to_owned()
        }
        Called::Failed { failure, provider } => {
            let content = FinishContent {
                provider,
                ..FinishContent::default()
            };
            let asked_ms = match failure.retry {
                Retry::Never | Retry::LessContext => None,
                Retry::Backoff | Retry::AtOnce => Some(None),
                Retry::AfterMs(ms) => Some(Some(ms)),
            };
            let error = failure.error;
            let is_done = match asked_ms {
                None => {
                    let finish = Finish {
                        error: Some(error.clone()),
                        hold_ms: None,
                        content,
                    };
                    commit(desk, attempt, || finish.change(attempt)).await
                }
                Some(asked_ms) => retry(desk, attempt, asked_ms, &error, &content).await,
            };
            if !is_done {
                return;
            }
            error.code
        }
        Called::Dropped(why) => {
            tracing::debug!(job_id = %attempt.job, attempt = attempt.n, why, "a call was dropped");
            return;
        }
        Called::GivenUp => {
            release(desk, attempt).await;
            return;
        }
    };
    tracing::info!(
        job_id = %attempt.job,
        attempt = attempt.n,
        elapsed_ms = elapsed_ms(attempt),
        code,
        "an attempt ended"
    );
}

fn elapsed_ms(attempt: &Attempt) -> u64 {
    u64::try_from(attempt.began.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// An ending of the job.
struct Finish {
    error: Option<JobError>,
    hold_ms: Option<u64>,
    content: FinishContent,
}

impl Finish {
    fn change(&self, attempt: &Attempt) -> Change {
        Change::finish(
            attempt.lane.clone(),
            attempt.job,
            attempt.fence,
            self.error.clone(),
            self.hold_ms,
            self.content.clone(),
        )
    }
}

/// What a reply does to its job and session.
fn finish(answered: Answered) -> Finish {
    let measure = answered.usage().map(|usage| TokenMeasure {
        sent_bytes: answered.sent_bytes,
        input_tokens: usage.input_tokens,
    });
    let Answered {
        answer,
        provider,
        said: mut turns,
        tool_wait_s,
        ..
    } = answered;
    let calls_tools = !answer.turn.tool_calls.is_empty();
    let reply = Reply {
        text: answer.text(),
        tool_calls: answer.turn.tool_calls.clone(),
        finish_reason: answer.finish_reason,
        usage: answer.usage,
        turns_sent: answered.turns_sent,
        turns_dropped: answered.turns_dropped,
    };
    turns.push(answer.turn);
    Finish {
        error: None,
        hold_ms: (calls_tools && tool_wait_s > 0).then(|| u64::from(tool_wait_s) * 1_000),
        content: FinishContent {
            reply: Some(reply),
            provider: Some(provider),
            turns,
            measure,
        },
    }
}

/// Has the job tried again after a pause. One that is past its deadline is left to the sweeper, which
/// ends it as expired.
async fn retry(
    desk: &Desk,
    attempt: &Attempt,
    asked_ms: Option<u64>,
    error: &JobError,
    content: &FinishContent,
) -> bool {
    let now = desk.member.store.now();
    if now >= attempt.expires_at {
        return true;
    }
    let pause_ms = backoff::pause_ms(attempt.tries, asked_ms, rand::random(), &desk.settings);
    commit(desk, attempt, || {
        Change::retry(
            attempt.lane.clone(),
            attempt.job,
            attempt.fence,
            now.plus_ms(pause_ms),
            desk.settings.tries_max,
            error.clone(),
            content.clone(),
        )
    })
    .await
}

/// Commits, through outages of the store, until the time of the attempt is over; says whether it did.
async fn commit(desk: &Desk, attempt: &Attempt, change: impl Fn() -> Change) -> bool {
    let job_id = attempt.job;
    loop {
        let error = match desk.member.lanes.apply(change(), PATIENCE).await {
            Ok(_) => return true,
            Err(LaneError::Refused(refused)) => {
                // Cancelled, expired, or another's by now.
                tracing::debug!(%job_id, attempt = attempt.n, %refused, "an attempt came too late");
                return false;
            }
            Err(error) => error,
        };
        let is_hopeless = matches!(error, LaneError::Store(StoreError::Broken(_)))
            || desk.member.store.now() >= attempt.until;
        if is_hopeless {
            // The job's timer has it done again.
            tracing::error!(%job_id, attempt = attempt.n, %error, "an attempt could not be committed");
            return false;
        }
        tracing::warn!(%job_id, attempt = attempt.n, %error, "a commit is tried again");
        sleep(PAUSE).await;
    }
}

/// Gives the job back unfinished; no try is spent. If that fails, others find that this worker is gone.
async fn release(desk: &Desk, attempt: &Attempt) {
    let release = Change::release(attempt.lane.clone(), attempt.job, attempt.fence);
    match desk.member.lanes.apply(release, RELEASE_PATIENCE).await {
        Ok(_) => tracing::info!(
            job_id = %attempt.job,
            attempt = attempt.n,
            elapsed_ms = elapsed_ms(attempt),
            code = "released",
            "an attempt ended"
        ),
        Err(error) => {
            tracing::debug!(job_id = %attempt.job, attempt = attempt.n, %error, "a job was not released");
        }
    }
}
