//! Calls to the store: their time limit, and the problem that each failure becomes.
//!
//! Reads, and writes that change no lane, go through [`with_timeout`] or one of its variants. Changes of a lane go through
//! [`Lanes`](forebay_runtime::lanes::Lanes), which takes [`STORE_TIMEOUT`] and retries by itself.

use std::{future::Future, time::Duration};

use forebay_runtime::lanes::LaneError;
use forebay_shared::store::StoreError;
use tokio::time::timeout;

use crate::{problem::Problem, problem_code::ProblemCode};

/// The time limit of one call to the store.
pub(crate) const STORE_TIMEOUT: Duration = Duration::from_secs(2);

/// The time limit of a call to the store that reads or writes something large.
pub(crate) const LARGE_STORE_TIMEOUT: Duration = Duration::from_secs(30);

/// Waits for a call to the store, at most [`STORE_TIMEOUT`]. Turns its error into a problem. A timeout counts as an unavailable
/// store.
pub(crate) async fn with_timeout<T>(
    call: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, Problem> {
    within_timeout(call)
        .await
        .map_err(|error| store_problem(&error))
}

/// Like [`with_timeout`], but returns the store's error, for callers that handle some errors themselves.
pub(crate) async fn within_timeout<T>(
    call: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    within(STORE_TIMEOUT, call).await
}

/// Like [`within_timeout`], for a call that reads or writes something large.
pub(crate) async fn within_long_timeout<T>(
    call: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    within(LARGE_STORE_TIMEOUT, call).await
}

/// Like [`with_timeout`], for a call that reads or writes something large.
pub(crate) async fn with_long_timeout<T>(
    call: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, Problem> {
    within(LARGE_STORE_TIMEOUT, call)
        .await
        .map_err(|error| store_problem(&error))
}

/// Like [`within_timeout`], with another time limit.
pub(crate) async fn within<T>(
    time: Duration,
    call: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    match timeout(time, call).await {
        Ok(result) => result,
        Err(_) => Err(StoreError::Unavailable(None)),
    }
}

/// The problem for a failed store call. An unavailable store is logged at debug level only, because the presence
/// loop already logs it.
pub(crate) fn store_problem(error: &StoreError) -> Problem {
    match error {
        StoreError::Unavailable(_) => {
            tracing::debug!(%error, "a request failed: the store is unavailable");
            let detail = "the request may have been carried out; repeat a submit only with an Idempotency-Key, or the job may run twice";
            Problem::new(ProblemCode::StoreUnavailable, detail).retry_after(2)
        }
        StoreError::Full => {
            let detail =
                "new jobs are refused until the store has free space; accepted jobs continue";
            Problem::new(ProblemCode::StoreFull, detail).retry_after(10)
        }
        StoreError::TooLarge => {
            tracing::warn!("a request failed: it is larger than the store accepts");
            let detail = "the job is larger than the store accepts";
            Problem::new(ProblemCode::BodyTooLarge, detail)
        }
        // No request gets this error: only the end of an attempt replaces turns.
        StoreError::TurnGone => {
            tracing::error!(%error, "a request failed");
            Problem::new(ProblemCode::Internal, "the store returned an error")
        }
        StoreError::Newer(document) => {
            tracing::warn!(%document, "a request failed: a newer release stored the document; upgrade this gateway");
            let detail = "a newer release of Forebay stored the data of this request; repeat the request, because a gateway of that release can answer it";
            Problem::new(ProblemCode::StoreUnavailable, detail).retry_after(2)
        }
        StoreError::Broken(source) => {
            tracing::error!(%error, %source, "a request failed: the store returned an error");
            Problem::new(ProblemCode::Internal, "the store returned an error")
        }
    }
}

/// The problem for a lane change that failed. Handlers handle expected refusals before they call this.
pub(crate) fn lane_problem(error: &LaneError) -> Problem {
    match error {
        LaneError::Store(error) => store_problem(error),
        LaneError::NoMemory => {
            let detail = "too many large requests are in memory";
            Problem::new(ProblemCode::Overloaded, detail).retry_after(1)
        }
        LaneError::Contended => {
            let detail = "too many requests change this session at the same time";
            Problem::new(ProblemCode::Overloaded, detail).retry_after(1)
        }
        LaneError::Refused(refused) => {
            tracing::error!(%refused, "a lane change was refused for an unexpected reason");
            Problem::new(ProblemCode::Internal, "the change was refused")
        }
    }
}
