//! Calls to the store that are repeated, with a backoff, until the store responds or the deadline has passed.

use std::time::Duration;

use tokio::time::Instant;

use super::error::LaneError;
use forebay_shared::{
    backoff::Backoff,
    store::{Commit, CommitResult, LoadedLane, LoadedRunInputs, Store, StoreError},
};

/// The delays before a failed store call is repeated.
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(1));

/// Counts the failures of one store call.
struct Retries {
    deadline: Instant,
    failures: u32,
}

impl Retries {
    const fn until(deadline: Instant) -> Self {
        Self {
            deadline,
            failures: 0,
        }
    }

    /// Waits before the call is repeated. Returns the error if a repeat cannot help, or if the deadline would pass during
    /// the wait.
    async fn wait(&mut self, error: StoreError) -> Result<(), LaneError> {
        let delay = BACKOFF.delay(self.failures, rand::random());
        if !error.is_transient() || Instant::now() + delay >= self.deadline {
            return Err(LaneError::Store(error));
        }
        tokio::time::sleep(delay).await;
        self.failures += 1;
        // A sleep may take some milliseconds longer. The caller no longer waits then, so the change must not be made.
        if Instant::now() >= self.deadline {
            return Err(LaneError::Store(error));
        }
        Ok(())
    }
}

/// Repeats a call until it succeeds. Returns the error if a repeat cannot help, or if the deadline would
/// pass before the next call.
pub(super) async fn with_retry<T, C>(
    deadline: Instant,
    mut call: impl FnMut() -> C,
) -> Result<T, LaneError>
where
    C: Future<Output = Result<T, StoreError>>,
{
    let mut retries = Retries::until(deadline);
    loop {
        match call().await {
            Ok(result) => return Ok(result),
            Err(error) => retries.wait(error).await?,
        }
    }
}

/// The result of a commit.
pub(super) enum RetriedCommit {
    /// The commit is on disk.
    Done {
        /// The run inputs that the commit needed, or their size after a lost response.
        run_inputs: Option<LoadedRunInputs>,
    },
    /// The last request wrote nothing ([`CommitResult::Conflict`]).
    Conflict {
        /// The lane as it is now.
        newer: Box<LoadedLane>,
        /// Whether the response to an earlier request was lost. That request may have succeeded.
        is_in_doubt: bool,
    },
}

/// Repeats a commit until the store reports whether it was made.
pub(super) async fn commit_with_retry(
    store: &dyn Store,
    commit: &Commit,
    deadline: Instant,
) -> Result<RetriedCommit, LaneError> {
    let mut retries = Retries::until(deadline);
    loop {
        match store.commit(commit).await {
            Ok(CommitResult::Done(run_inputs)) => {
                return Ok(RetriedCommit::Done { run_inputs });
            }
            // The lane has the version of this commit: an earlier request succeeded, and its response was lost.
            Ok(CommitResult::Conflict(newer)) if newer.version == Some(commit.version) => {
                // A claim that is made must not be lost, even if the record of its job has been deleted meanwhile.
                let left_out = LoadedRunInputs::LeftOut { bytes: 0 };
                return Ok(RetriedCommit::Done {
                    run_inputs: newer.run_inputs.or(Some(left_out)),
                });
            }
            Ok(CommitResult::Conflict(newer)) => {
                return Ok(RetriedCommit::Conflict {
                    newer,
                    is_in_doubt: retries.failures > 0,
                });
            }
            Err(error) => retries.wait(error).await?,
        }
    }
}
