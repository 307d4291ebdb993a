//! Measures the jobs per second on one core and on two, with calls that take no time.
//!
//! The jobs are in the store before the measured process starts. So it shares its cores only with the system and with
//! one request for its counts every 100 ms.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::ensure;
use tokio::time::{Instant, sleep};

use crate::{
    load::{closed_loop, job::Sessions, queues},
    process::{binary, subject::Subject},
    report::figure::median,
};

/// The options of the benchmark.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    /// The number of jobs of each run.
    #[arg(long, default_value_t = 80_000, value_parser = clap::value_parser!(u32).range(1_000..=1_000_000))]
    jobs: u32,
    /// The number of pairs of runs: one run on one core and one on two.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=20))]
    runs: u32,
    /// End with an error unless two cores end at least 1.6 times as many jobs per second as one.
    #[arg(long)]
    check: bool,
    /// Measure this `forebay` binary instead of building one.
    #[arg(long)]
    binary: Option<PathBuf>,
}

/// The lowest ratio of the two rates with which `--check` succeeds.
const RATIO_MIN: f64 = 1.6;

/// Measures, prints the two rates and the ratio of each pair of runs, and prints the medians.
pub(crate) async fn run(options: &Options) -> anyhow::Result<()> {
    let binary = binary::forebay(options.binary.as_deref()).await?;
    println!("jobs/s, one core | two cores | ratio");
    let [mut one_core_rates, mut two_core_rates, mut ratios] = [const { Vec::new() }; 3];
    for _ in 0..options.runs {
        let one_core = measure(options, &binary, "0").await?;
        let two_cores = measure(options, &binary, "0,1").await?;
        println!(
            "{one_core:.0} | {two_cores:.0} | {:.2}",
            two_cores / one_core
        );
        one_core_rates.push(one_core);
        two_core_rates.push(two_cores);
        ratios.push(two_cores / one_core);
    }
    let (one_core, two_cores) = (median(&one_core_rates), median(&two_core_rates));
    let ratio = median(&ratios);
    println!("{one_core:.0} | {two_cores:.0} | {ratio:.2}, the medians");
    ensure!(
        !options.check || ratio >= RATIO_MIN,
        "two cores end {ratio:.2} times as many jobs per second as one, less than {RATIO_MIN}"
    );
    Ok(())
}

/// The jobs per second of one run on these cores.
async fn measure(options: &Options, binary: &Path, cores: &str) -> anyhow::Result<f64> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    let folder = tempfile::tempdir()?;
    let jobs = options.jobs as usize;
    let variables = |latency_ms: u64, concurrency: u64| {
        [
            ("FOREBAY_DATA_DIR", folder.path().display().to_string()),
            ("FOREBAY_SIMULATED_LATENCY_MS", latency_ms.to_string()),
            ("FOREBAY_CONCURRENCY", concurrency.to_string()),
            ("FOREBAY_BACKLOG_MAX", (2 * jobs).to_string()),
        ]
    };
    // The only slot of the first process takes one job, whose call lasts ten minutes. All other jobs wait in the store.
    let submitted_to = Subject::forebay(binary, &[], &variables(600_000, 1), None).await?;
    closed_loop::submit(&submitted_to.url, jobs, "simulated", Sessions::Ordered).await?;
    submitted_to.kill().await?;

    let forebay = Subject::forebay(binary, &[], &variables(0, 256), Some(cores)).await?;
    let started = Instant::now();
    // The rate is measured over the middle three fifths of the jobs.
    let (from, to) = (options.jobs / 5, options.jobs * 4 / 5);
    let mut begin = None;
    loop {
        let live = queues::count(&client, &forebay.url, "live").await?;
        let done = u64::from(options.jobs).saturating_sub(live);
        match begin {
            None if done >= from.into() => begin = Some((done, Instant::now())),
            Some((done_before, since)) if done >= to.into() => {
                forebay.kill().await?;
                #[expect(clippy::cast_precision_loss, reason = "a rate to print")]
                return Ok((done - done_before) as f64 / since.elapsed().as_secs_f64());
            }
            _ => {}
        }
        ensure!(
            started.elapsed() < Duration::from_secs(300),
            "the jobs have not ended after five minutes"
        );
        sleep(Duration::from_millis(100)).await;
    }
}
