//! Submits without workers, to two installations that take turns.
//!
//! The speed of a shared machine changes within seconds. Both installations run at the same time and get small batches in
//! alternating order, so a change of the speed affects both. The CPU time that an installation uses while the other has its turn counts
//! too, and both wait for about the same time.

use std::ops::Range;

use super::{
    cpu_time::CpuTime,
    idle::{Settle, until_idle},
};
use crate::{
    installation::{Installation, MODEL, PartUsage},
    load::{closed_loop, job::Sessions},
};

/// The most jobs that are submitted to one installation at a time.
const BATCH_JOBS_MAX: usize = 4_000;

/// The batches that each installation gets. All have the same size.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Batches {
    count: usize,
    jobs: usize,
}

impl Batches {
    /// Batches of this many jobs together, or of a few more if they could not have the same size otherwise.
    pub(crate) fn of(jobs: usize) -> Self {
        let count = jobs.div_ceil(BATCH_JOBS_MAX).max(1);
        Self {
            count,
            jobs: jobs.div_ceil(count),
        }
    }

    /// How many batches come before the measured ones. They open connections and allocate memory.
    fn warm_up_count(self) -> usize {
        self.count.div_ceil(10)
    }

    /// The jobs of all measured batches.
    pub(crate) fn measured_jobs(self) -> usize {
        self.count * self.jobs
    }

    /// The jobs of all batches, with the warm-up.
    pub(crate) fn all_jobs(self) -> usize {
        (self.warm_up_count() + self.count) * self.jobs
    }
}

/// Submits the batches in turns. Returns the CPU time of a submit of each installation, with all work that follows the submits.
///
/// The installations must not share a server, whose CPU time would be that of both.
///
/// # Errors
/// If a process fails or a submit is refused.
#[expect(clippy::cast_precision_loss, reason = "figures to print")]
pub(crate) async fn measure(
    installations: [&Installation; 2],
    batches: Batches,
    sessions: Sessions,
) -> anyhow::Result<[CpuTime; 2]> {
    let first = batches.warm_up_count();
    submit_in_turns(installations, 0..first, batches.jobs, sessions).await?;
    let before = usage_when_idle(installations).await?;
    let measured = first..first + batches.count;
    submit_in_turns(installations, measured, batches.jobs, sessions).await?;
    let after = usage_when_idle(installations).await?;
    let jobs = batches.measured_jobs() as f64;
    let mut cpu = [CpuTime::default(), CpuTime::default()];
    for (index, cpu) in cpu.iter_mut().enumerate() {
        cpu.add(&before[index], &after[index], jobs);
    }
    Ok(cpu)
}

/// Submits a batch of this many jobs to each installation for each number. Even numbers begin with the first installation.
async fn submit_in_turns(
    installations: [&Installation; 2],
    numbers: Range<usize>,
    jobs: usize,
    sessions: Sessions,
) -> anyhow::Result<()> {
    for number in numbers {
        let order = if number % 2 == 0 { [0, 1] } else { [1, 0] };
        for index in order {
            let installation = installations[index];
            closed_loop::submit(installation.url(), jobs, MODEL, sessions).await?;
            until_idle(installation, Settle::Briefly).await?;
        }
    }
    Ok(())
}

/// What the parts have used, once delayed work is done too. Both installations are read at the same moment.
async fn usage_when_idle([first, second]: [&Installation; 2]) -> anyhow::Result<[PartUsage; 2]> {
    until_idle(first, Settle::Fully).await?;
    until_idle(second, Settle::Fully).await?;
    Ok([first.usage()?, second.usage()?])
}

#[cfg(test)]
mod tests {
    use super::Batches;

    #[test]
    fn batches_have_the_same_size_and_contain_at_least_the_jobs() {
        let jobs = |jobs| {
            let batches = Batches::of(jobs);
            (batches.measured_jobs(), batches.all_jobs())
        };
        assert_eq!(jobs(100), (100, 200));
        assert_eq!(jobs(9_001), (9_003, 12_004));
        assert_eq!(jobs(40_000), (40_000, 44_000));
    }
}
