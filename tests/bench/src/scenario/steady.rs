//! Jobs at a steady rate, which workers run as they come, with an LLM server that answers at once.
//!
//! Most jobs are claimed at once, so a fleet does less for them than for the jobs of a backlog. The CPU time
//! includes the work that does not depend on jobs, such as counting.

use std::time::Duration;

use anyhow::ensure;
use tokio::time::{Instant, sleep};

use super::{
    cpu_time::CpuTime,
    idle::{Settle, until_idle},
};
use crate::{
    installation::{Installation, MODEL},
    load::{job::Sessions, outcome::check_completed, submits_at_rate},
};

/// How long the last jobs may take.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(60);

/// The load.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) rate_per_s: f64,
    pub(crate) time: Duration,
    pub(crate) sessions: Sessions,
}

/// Measures the CPU time of a job from its submit to its result.
///
/// # Errors
/// If a process fails, a submit is refused or a job is lost.
#[expect(clippy::cast_precision_loss, reason = "figures to print")]
pub(crate) async fn measure(
    installation: &mut Installation,
    load: Load,
) -> anyhow::Result<CpuTime> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    installation.release_workers(1).await?;
    let submit = |time| {
        let url = installation.url().to_owned();
        async move {
            let Load {
                rate_per_s,
                sessions,
                ..
            } = load;
            submits_at_rate::submit(&url, rate_per_s, time, MODEL, sessions).await
        }
    };
    // The warm-up takes a tenth of the time. It opens connections and allocates memory.
    submit(load.time / 10).await?;
    until_idle(installation, Settle::Briefly).await?;
    let before = installation.usage()?;
    let offered = submit(load.time).await?;
    ensure!(
        offered.refused == 0,
        "{} submits were refused",
        offered.refused
    );
    let ended = Instant::now();
    while installation.live_jobs(&client).await? > 0 {
        ensure!(
            ended.elapsed() < DRAIN_TIMEOUT,
            "jobs are live {DRAIN_TIMEOUT:?} after the load"
        );
        sleep(Duration::from_millis(100)).await;
    }
    let after = installation.usage()?;
    check_completed(installation.url(), &offered.accepted).await?;
    let mut cpu = CpuTime::default();
    cpu.add(&before, &after, offered.accepted.len() as f64);
    Ok(cpu)
}
