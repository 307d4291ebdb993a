//! Jobs per second with one core and with two, without latency.
//!
//! The jobs are in the store before the measured process starts, so nobody shares its cores but the
//! system and one look at the counts every 100 ms.

use std::{path::Path, time::Duration};

use anyhow::ensure;
use tokio::time::{Instant, sleep};

use crate::{
    load,
    subject::{Subject, forebay_binary},
};

/// What is measured.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    /// Jobs in each run.
    #[arg(long, default_value_t = 80_000, value_parser = clap::value_parser!(u32).range(1_000..=1_000_000))]
    jobs: u32,
    /// Runs with one core and with two, in turn.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=20))]
    runs: u32,
    /// End with an error unless two cores do 1.6 times as much as one.
    #[arg(long)]
    check: bool,
}

/// What `--check` asks.
const RATIO_MIN: f64 = 1.6;

/// Measures, and prints the rates of each pair of runs with their ratio, and the medians.
pub(crate) async fn run(options: &Options) -> anyhow::Result<()> {
    let binary = forebay_binary().await?;
    println!("jobs/s, one core | two cores | ratio");
    let [mut ones, mut twos, mut ratios] = [const { Vec::new() }; 3];
    for _ in 0..options.runs {
        let one = measure(options, &binary, "0").await?;
        let two = measure(options, &binary, "0,1").await?;
        println!("{one:.0} | {two:.0} | {:.2}", two / one);
        ones.push(one);
        twos.push(two);
        ratios.push(two / one);
    }
    let (one, two, ratio) = (median(ones), median(twos), median(ratios));
    println!("{one:.0} | {two:.0} | {ratio:.2}, the medians");
    ensure!(
        !options.check || ratio >= RATIO_MIN,
        "two cores do {ratio:.2} times as much as one, less than {RATIO_MIN}"
    );
    Ok(())
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

async fn measure(options: &Options, binary: &Path, cores: &str) -> anyhow::Result<f64> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    let folder = tempfile::tempdir()?;
    let jobs = options.jobs as usize;
    let variables = |latency_ms: u64, concurrency: u64| {
        [
            ("FOREBAY_SIMULATED_LATENCY_MS", latency_ms.to_string()),
            ("FOREBAY_CONCURRENCY", concurrency.to_string()),
            ("FOREBAY_BACKLOG_MAX", (2 * jobs).to_string()),
        ]
    };
    // One slow slot takes one job; all others wait in the store.
    let filling = Subject::forebay(binary, folder.path(), &variables(600_000, 1), None).await?;
    load::submit(&filling.url, jobs, "simulated").await?;
    filling.kill().await?;

    let forebay = Subject::forebay(binary, folder.path(), &variables(0, 256), Some(cores)).await?;
    let begun = Instant::now();
    let (from, to) = (options.jobs / 5, options.jobs * 4 / 5);
    let mut first = None;
    loop {
        let live = load::queue(&client, &forebay.url, "live").await?;
        let done = u64::from(options.jobs).saturating_sub(live);
        match first {
            None if done >= from.into() => first = Some((done, Instant::now())),
            Some((done_before, since)) if done >= to.into() => {
                forebay.kill().await?;
                #[expect(clippy::cast_precision_loss, reason = "a rate to print")]
                return Ok((done - done_before) as f64 / since.elapsed().as_secs_f64());
            }
            _ => {}
        }
        ensure!(
            begun.elapsed() < Duration::from_secs(300),
            "not done after five minutes"
        );
        sleep(Duration::from_millis(100)).await;
    }
}
