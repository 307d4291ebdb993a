//! Jobs are submitted while no worker runs them. Then workers drain them, with an LLM server that answers at once.
//!
//! Submits and runs are measured separately, so neither takes CPU time from the other. Together they are all that happens to a
//! job from its submit to its result.

use std::time::Duration;

use anyhow::ensure;
use tokio::time::{Instant, sleep};

use super::{
    cpu_time::CpuTime,
    idle::{Settle, until_idle},
};
use crate::{
    installation::{Installation, MODEL, Part, PartUsage},
    load::{
        closed_loop::{self, Accepted},
        job::Sessions,
        outcome::check_completed,
    },
    process::usage::Usage,
    report::figure::percentile,
};

/// The parts of the backlog between which the drain is measured, in percent. Start and end are left out.
const DRAIN_FROM_PERCENT: u64 = 15;
const DRAIN_TO_PERCENT: u64 = 95;

/// The size of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    /// The jobs that are measured.
    pub(crate) jobs: usize,
    /// The jobs that are submitted before the measured ones, so that connections are open and memory is allocated.
    pub(crate) warm_up_jobs: usize,
    /// The workers of a fleet.
    pub(crate) workers: u32,
    pub(crate) sessions: Sessions,
    /// When the work that follows the submits counts as done.
    pub(crate) settle: Settle,
    /// How long the drain may take.
    pub(crate) drain_timeout: Duration,
}

/// What was measured.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) accepted: Accepted,
    pub(crate) drained_per_s: f64,
    /// The CPU time of a job: of its submit, until all parts are idle again, plus of its run, in the measured part of the drain.
    pub(crate) cpu: CpuTime,
    /// What each part had used when all jobs waited.
    pub(crate) waiting: PartUsage,
    /// What each part had used before the jobs were submitted.
    pub(crate) before: PartUsage,
    /// What each part had used at the end.
    pub(crate) end: PartUsage,
    /// Bytes on disk for a waiting job.
    pub(crate) disk_bytes: f64,
    /// Redis's counters for one job, for a fleet.
    pub(crate) redis: Option<RedisPerJob>,
}

/// What one job needs of Redis.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RedisPerJob {
    pub(crate) commands: f64,
    pub(crate) scripts: f64,
    /// Bytes of memory while the job waits.
    pub(crate) memory_bytes: f64,
}

impl Measured {
    /// All figures but the CPU time, each with its unit in its name.
    #[expect(clippy::cast_precision_loss, reason = "figures to print")]
    pub(crate) fn figures(&self) -> Vec<(String, f64)> {
        let jobs = self.accepted.ids.len() as f64;
        let mib = |usage: &Usage| usage.rss_peak_bytes as f64 / 1_048_576.0;
        let mut figures = vec![
            (String::from("accepted, jobs/s"), self.accepted.per_s()),
            (
                String::from("p99 of a submit, ms"),
                percentile(&self.accepted.latencies_us, 99.0) / 1_000.0,
            ),
            (String::from("drained, jobs/s"), self.drained_per_s),
        ];
        if self.accepted.repeated > 0 {
            let repeated = self.accepted.repeated as f64;
            figures.push((String::from("submits repeated after a 503"), repeated));
        }
        if let Some(redis) = &self.redis {
            figures.extend([
                (String::from("Redis commands a job"), redis.commands),
                (String::from("Redis scripts a job"), redis.scripts),
            ]);
        }
        let memory_bytes = match (&self.redis, self.waiting.get(&Part::OneProcess)) {
            (Some(redis), _) => redis.memory_bytes,
            (None, Some(waiting)) => {
                let before = self.before[&Part::OneProcess].rss_bytes;
                waiting.rss_bytes.saturating_sub(before) as f64 / jobs
            }
            (None, None) => f64::NAN,
        };
        figures.extend([
            (String::from("memory of a waiting job, bytes"), memory_bytes),
            (
                String::from("disk of a waiting job, bytes"),
                self.disk_bytes,
            ),
        ]);
        for (part, usage) in &self.waiting {
            if matches!(part, Part::Gateway | Part::OneProcess) {
                let name = format!("{part}, memory while accepting, highest, MiB");
                figures.push((name, mib(usage)));
            }
        }
        for (part, usage) in &self.end {
            if matches!(part, Part::Worker | Part::OneProcess) {
                let name = format!("{part}, memory until the end, highest, MiB");
                figures.push((name, mib(usage)));
            }
        }
        figures
    }
}

/// The state at one moment of the drain.
struct Mark {
    at: Instant,
    done: u64,
    usage: PartUsage,
}

/// Submits the jobs, drains them, and checks that all of them are completed.
///
/// # Errors
/// If a process fails, a job is lost, or the drain takes too long.
#[expect(clippy::cast_precision_loss, reason = "figures to print")]
pub(crate) async fn measure(
    installation: &mut Installation,
    size: Size,
) -> anyhow::Result<Measured> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    let submit = |jobs| {
        let url = installation.url().to_owned();
        async move { closed_loop::submit(&url, jobs, MODEL, size.sessions).await }
    };
    let warm_up = submit(size.warm_up_jobs).await?;
    until_idle(installation, size.settle).await?;
    let (before, redis_before) = (installation.usage()?, installation.redis_counters().await?);
    let disk_before = installation.disk_bytes().await?;

    let accepted = submit(size.jobs).await?;
    until_idle(installation, size.settle).await?;
    let (waiting, redis_waiting) = (installation.usage()?, installation.redis_counters().await?);
    let disk_waiting = installation.disk_bytes().await?;

    let all = (size.warm_up_jobs + size.jobs) as u64;
    installation.release_workers(size.workers).await?;
    let (from, to) = drain(installation, &client, all, size.drain_timeout).await?;
    let (end, redis_end) = (installation.usage()?, installation.redis_counters().await?);
    for ids in [&warm_up.ids, &accepted.ids] {
        check_completed(installation.url(), ids).await?;
    }

    let jobs = size.jobs as f64;
    let drained = (to.done - from.done) as f64;
    let mut cpu = CpuTime::default();
    cpu.add(&before, &waiting, jobs);
    cpu.add(&from.usage, &to.usage, drained);
    let redis = redis_before.zip(redis_waiting).zip(redis_end);
    let redis = redis.map(|((before, waiting), end)| RedisPerJob {
        // The jobs of the warm-up are submitted before and drained with the others.
        commands: (waiting.commands - before.commands) as f64 / jobs
            + (end.commands - waiting.commands) as f64 / all as f64,
        scripts: (waiting.scripts - before.scripts) as f64 / jobs
            + (end.scripts - waiting.scripts) as f64 / all as f64,
        memory_bytes: waiting.memory_bytes.saturating_sub(before.memory_bytes) as f64 / jobs,
    });
    Ok(Measured {
        drained_per_s: drained / (to.at - from.at).as_secs_f64(),
        cpu,
        disk_bytes: disk_waiting.saturating_sub(disk_before) as f64 / jobs,
        accepted,
        waiting,
        before,
        end,
        redis,
    })
}

/// Waits until all jobs have ended. Returns the states between which the drain is measured.
async fn drain(
    installation: &Installation,
    client: &reqwest::Client,
    jobs: u64,
    timeout: Duration,
) -> anyhow::Result<(Mark, Mark)> {
    let began = Instant::now();
    let (mut from, mut to) = (None, None);
    loop {
        let done = installation.calls_answered(client).await?;
        let reached = |percent| done * 100 >= jobs * percent;
        let mark = || -> anyhow::Result<Mark> {
            Ok(Mark {
                at: Instant::now(),
                done,
                usage: installation.usage()?,
            })
        };
        if from.is_none() && reached(DRAIN_FROM_PERCENT) {
            from = Some(mark()?);
        } else if to.is_none() && reached(DRAIN_TO_PERCENT) {
            to = Some(mark()?);
        }
        if done >= jobs && installation.live_jobs(client).await? == 0 {
            break;
        }
        ensure!(
            began.elapsed() < timeout,
            "only {done} of {jobs} jobs have run after {timeout:?}"
        );
        sleep(Duration::from_millis(if to.is_some() { 200 } else { 10 })).await;
    }
    let marks = from.zip(to);
    marks.ok_or_else(|| anyhow::anyhow!("the drain was too short to be measured: submit more jobs"))
}
