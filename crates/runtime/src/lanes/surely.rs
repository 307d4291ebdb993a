//! Calls to the store that are tried again, with pauses, until they are known to have been answered or the
//! patience is over.

use std::time::Duration;

use tokio::time::Instant;

use super::{Inner, LaneError};
use forebay_shared::{
    ids::{JobId, LaneKey},
    store::{Commit, CommitResult, LoadedLane, StoreError, TimerMove},
};

/// The pause after the first failure of the store; doubles up to the longest.
const PAUSE_MS: u64 = 50;
const PAUSE_MS_MAX: u64 = 1_000;

/// The lane as it stands.
pub(super) async fn load(
    inner: &Inner,
    key: &LaneKey,
    jobs: &[JobId],
    work: Option<JobId>,
    until: Instant,
) -> Result<LoadedLane, LaneError> {
    let mut pause = Pause::until(until);
    loop {
        match inner.store.load(key, jobs, work).await {
            Ok(loaded) => return Ok(loaded),
            Err(error) => pause.after(error).await?,
        }
    }
}

/// Moves timers; a timer that an earlier try has moved is not the one that was read any more, so its head
/// is then not woken here. The timer itself sees to that.
pub(super) async fn move_timers(
    inner: &Inner,
    ticks: &[TimerMove],
    until: Instant,
) -> Result<Vec<bool>, LaneError> {
    let mut pause = Pause::until(until);
    loop {
        match inner.store.move_timers(ticks).await {
            Ok(moved) => return Ok(moved),
            Err(error) => pause.after(error).await?,
        }
    }
}

/// Makes a commit, and goes on until it is known to be made or not. `Some`: the lane had changed. `in_doubt` is
/// called when a try may have succeeded without our knowing.
pub(super) async fn commit_with_retry(
    inner: &Inner,
    commit: &Commit,
    until: Instant,
    mut in_doubt: impl FnMut(),
) -> Result<Option<LoadedLane>, LaneError> {
    let mut pause = Pause::until(until);
    loop {
        match inner.store.commit(commit).await {
            Ok(CommitResult::Done) => return Ok(None),
            // My own token: an earlier try, whose answer was lost, had succeeded.
            Ok(CommitResult::Conflict(loaded)) if loaded.version == Some(commit.version) => {
                return Ok(None);
            }
            Ok(CommitResult::Conflict(loaded)) => return Ok(Some(*loaded)),
            Err(error) => {
                in_doubt();
                pause.after(error).await?;
            }
        }
    }
}

/// The pauses between tries while the store does not answer, until the time is up.
pub(super) struct Pause {
    until: Instant,
    ms: u64,
}

impl Pause {
    pub(super) const fn until(until: Instant) -> Self {
        Self {
            until,
            ms: PAUSE_MS,
        }
    }

    pub(super) async fn after(&mut self, error: StoreError) -> Result<(), LaneError> {
        let pause = Duration::from_millis(rand::random_range(self.ms / 2..=self.ms));
        if !error.is_transient() || Instant::now() + pause >= self.until {
            return Err(LaneError::Store(error));
        }
        tokio::time::sleep(pause).await;
        self.ms = (self.ms * 2).min(PAUSE_MS_MAX);
        Ok(())
    }
}
