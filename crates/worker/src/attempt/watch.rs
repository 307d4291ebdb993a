//! Whether a call is still worth its wait: its job may have been cancelled, have expired, or have gone to
//! another worker, and a provider may overrun the limit that it was given.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::{
    Attempt, Desk,
    call::{Called, EXPIRED},
};
use crate::{
    provider::{Failure, Retry},
    table::Note,
};

/// How often it is looked at without a hint, since hints may be lost.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// How long a provider may overrun the limit that it was given before the call is dropped.
const OVERRUN: Duration = Duration::from_secs(1);

/// Until when a call may take.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    /// The limit that the provider is given.
    pub(super) call: Instant,
    /// The same without regard to the job's expiry, in milliseconds from the beginning.
    pub(super) call_ms: u64,
    /// When nobody wants the job any more. The sweeper ends it, as its timer is due.
    pub(super) expiry: Instant,
}

/// Waits until the call is over without an answer; says what it came to. One timer for all that may be, since
/// there are as many of these as calls. Looks at each hint, and from time to time without one; a store that does
/// not answer says nothing against the attempt.
#[expect(
    clippy::manual_async_fn,
    reason = "an async fn would hold each of its arguments twice"
)]
pub(super) fn watch(
    desk: &Desk,
    attempt: &Attempt,
    note: &Note,
    limits: Limits,
    provider: String,
) -> impl Future<Output = Called> + Send {
    async move {
        let mut look_at = Instant::now() + LOOK_EVERY;
        loop {
            let next = look_at.min(limits.expiry).min(limits.call + OVERRUN);
            let is_hinted = timeout_at(next, note.hinted()).await.is_ok();
            let now = Instant::now();
            if now >= limits.expiry {
                return Called::Dropped(EXPIRED);
            }
            if now >= limits.call + OVERRUN {
                return overrun(limits.call_ms, provider);
            }
            if is_hinted || now >= look_at {
                look_at = now + LOOK_EVERY;
                // Boxed, as it is seldom needed.
                if Box::pin(is_lost(desk, attempt)).await {
                    return Called::Dropped("the job has ended or gone elsewhere");
                }
            }
        }
    }
}

fn overrun(limit_ms: u64, provider: String) -> Called {
    Called::Failed {
        failure: Failure::new(
            "provider_timeout",
            format!("the call was not done within {limit_ms} ms"),
            Retry::Backoff,
        ),
        provider: Some(provider),
    }
}

/// Whether the attempt has no say any more.
async fn is_lost(desk: &Desk, attempt: &Attempt) -> bool {
    match desk.member.store.load(&attempt.lane, &[], None).await {
        Ok(loaded) => {
            // A job that was put back for another worker, but not taken yet, is still ours to finish.
            let entry = loaded.lane.find(attempt.job);
            entry.is_none_or(|(_, entry)| entry.fence != attempt.fence)
        }
        Err(error) => {
            tracing::debug!(job_id = %attempt.job, %error, "a lane could not be read");
            false
        }
    }
}
