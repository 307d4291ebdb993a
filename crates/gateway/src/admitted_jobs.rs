//! Counts jobs that this process admits until a sample of the counts has them.
//!
//! Another process may have made the sample some time before it arrives here. So a job can be newer than the newest sample.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// Jobs whose commits end within this time are one entry of [`AdmittedJobs`].
const ENTRY_TIME: Duration = Duration::from_millis(1);
/// The most entries. Further jobs are added to the newest entry and extend its time.
const ENTRIES_MAX: usize = 4_096;

/// Jobs that are being committed, and jobs whose commits ended after the newest sample. A job that is committed while a sample is
/// made counts here until the next sample, even if the sample has it.
#[derive(Default)]
pub(crate) struct AdmittedJobs {
    /// The jobs whose commits have not ended.
    reserved: u64,
    /// The jobs whose commits have ended.
    committed: u64,
    /// The committed jobs: a time by which their commits had ended, and the number of jobs. The earliest time is first.
    by_time: VecDeque<(Instant, u64)>,
}

impl AdmittedJobs {
    /// The number of jobs.
    pub(crate) const fn jobs(&self) -> u64 {
        self.reserved + self.committed
    }

    /// Counts a job whose commit may follow.
    pub(crate) const fn reserve(&mut self) {
        self.reserved += 1;
    }

    /// Ends the count of a reserved job that is not committed.
    pub(crate) const fn release(&mut self) {
        self.reserved = self.reserved.saturating_sub(1);
    }

    /// Records that the commit of a reserved job has ended. `now` must not be earlier than in the call before.
    pub(crate) fn commit_ended(&mut self, now: Instant) {
        self.release();
        self.committed += 1;
        let is_full = self.by_time.len() == ENTRIES_MAX;
        match self.by_time.back_mut() {
            Some((until, jobs)) if now <= *until || is_full => {
                *until = now.max(*until);
                *jobs += 1;
            }
            _ => self.by_time.push_back((now + ENTRY_TIME, 1)),
        }
    }

    /// Ends the count of the jobs that a sample has, because their commits had ended when it was made.
    pub(crate) fn remove_until(&mut self, sampled_at: Instant) {
        while let Some((until, jobs)) = self.by_time.front()
            && *until <= sampled_at
        {
            self.committed -= jobs;
            self.by_time.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_sample_replaces_only_the_jobs_whose_commits_had_ended_before_it() {
        let start = Instant::now();
        let mut admitted = AdmittedJobs::default();
        for _ in 0..7 {
            admitted.reserve();
        }
        for at in [0, 0, 5, 900, 900, 950] {
            admitted.commit_ended(start + at * MS);
        }
        assert_eq!(admitted.jobs(), 7);
        admitted.remove_until(start + 500 * MS);
        assert_eq!(admitted.jobs(), 4);
        // The same sample again, and an older one.
        admitted.remove_until(start + 500 * MS);
        admitted.remove_until(start);
        assert_eq!(admitted.jobs(), 4);
        admitted.remove_until(start + 902 * MS);
        assert_eq!(admitted.jobs(), 2);
        // A reserved job stays counted, even if its commit ends long after the sample.
        admitted.remove_until(start + 2_000 * MS);
        assert_eq!(admitted.jobs(), 1);
        admitted.commit_ended(start + 3_000 * MS);
        admitted.remove_until(start + 2_000 * MS);
        assert_eq!(admitted.jobs(), 1);
        admitted.remove_until(start + 4_000 * MS);
        assert_eq!(admitted.jobs(), 0);
    }

    #[test]
    fn a_released_job_is_not_counted() {
        let mut admitted = AdmittedJobs::default();
        admitted.reserve();
        admitted.reserve();
        admitted.release();
        assert_eq!(admitted.jobs(), 1);
    }

    #[test]
    fn without_samples_the_entries_are_limited_and_all_jobs_stay_counted() {
        let start = Instant::now();
        let mut admitted = AdmittedJobs::default();
        let jobs_max = u32::try_from(ENTRIES_MAX).unwrap();
        let at = |index: u32| start + index * 2 * ENTRY_TIME;
        for index in 0..2 * jobs_max {
            admitted.reserve();
            admitted.commit_ended(at(index));
        }
        assert_eq!(admitted.by_time.len(), ENTRIES_MAX);
        assert_eq!(admitted.jobs(), u64::from(2 * jobs_max));
        // The newest entry has its own job and all jobs of the second half.
        admitted.remove_until(at(2 * jobs_max - 2));
        assert_eq!(admitted.jobs(), u64::from(jobs_max + 1));
        admitted.remove_until(at(2 * jobs_max));
        assert_eq!(admitted.jobs(), 0);
    }
}
