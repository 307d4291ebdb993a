//! Calls to the store that are repeated, with a backoff, until the store responds or the deadline has passed.

use std::time::Duration;

use tokio::time::Instant;

use super::error::LaneError;
use forebay_shared::{
    backoff::Backoff,
    store::{Commit, CommitResult, LoadedLane, Store, StoreError},
};

/// The delays between two tries of a call that failed.
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(1));

/// Counts the failures of one call.
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

    /// Waits before the next try. Returns the error if a retry cannot help, or not before the deadline.
    async fn wait(&mut self, error: StoreError) -> Result<(), LaneError> {
        let delay = BACKOFF.delay(self.failures, rand::random());
        if !error.is_transient() || Instant::now() + delay >= self.deadline {
            return Err(LaneError::Store(error));
        }
        tokio::time::sleep(delay).await;
        self.failures += 1;
        Ok(())
    }
}

/// Repeats a call until it succeeds.
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
    Done,
    /// Nothing was written by the last try: the lane has changed.
    Conflict {
        /// The lane as it is now.
        newer: Box<LoadedLane>,
        /// Whether the response to an earlier try was lost. That try may have succeeded.
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
            Ok(CommitResult::Done) => return Ok(RetriedCommit::Done),
            // The lane has the version of this commit: an earlier try succeeded, and its response was lost.
            Ok(CommitResult::Conflict(newer)) if newer.version == Some(commit.version) => {
                return Ok(RetriedCommit::Done);
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
