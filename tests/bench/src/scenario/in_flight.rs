//! Measures many calls at a time in one process: how many are in flight, and how much memory each needs.
//!
//! At first the provider sends no replies. Forebay's memory grows until all slots have a call: this is the memory of
//! the calls. Its further growth, while more jobs are submitted, is the memory of waiting jobs. Then the provider
//! answers each call after 2 to 5 seconds, and counts the calls in flight. For comparison, reqwest alone makes the
//! same calls.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::ensure;
use tokio::time::{Instant, sleep};

use crate::{
    load::{closed_loop, job::Sessions, queues},
    process::{binary, mock, subject::Subject},
};

const MIB: f64 = 1_048_576.0;

/// The model of all jobs.
const MODEL: &str = "bench/bench";

/// A goal of `--check`: the lowest average share of slots with a call in flight.
const BUSY_PERCENT_MIN: f64 = 99.0;
/// A goal of `--check`: the highest ratio of Forebay's memory to reqwest's memory, with the same calls in flight.
const BARE_RATIO_MAX: f64 = 1.25;
/// A goal of `--check`: the most memory of a waiting job.
const PER_WAITING_JOB_BYTES_MAX: f64 = 4_096.0;

/// The options of the benchmark.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    /// The number of calls in flight that Forebay may have.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(10..=15_000))]
    calls: u32,
    /// How long the calls in flight are counted, in seconds.
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u32).range(5..=120))]
    seconds: u32,
    /// The shortest latency of the provider, in milliseconds.
    #[arg(long, default_value_t = 2_000)]
    latency_min_ms: u64,
    /// The longest latency of the provider, in milliseconds.
    #[arg(long, default_value_t = 5_000)]
    latency_max_ms: u64,
    /// Measure only this version of HTTP: 1 or 2.
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=2))]
    http: Option<u8>,
    /// End with an error unless 99 % of the slots have a call on average, the process with all calls in flight needs at
    /// most 1.25 times the memory of reqwest alone, and a waiting job needs at most 4 KiB.
    #[arg(long)]
    check: bool,
    /// Measure this `forebay` binary instead of building one.
    #[arg(long)]
    binary: Option<PathBuf>,
}

/// Measures, and prints one line for each version of HTTP.
pub(crate) async fn run(options: &Options) -> anyhow::Result<()> {
    let binary = binary::forebay(options.binary.as_deref()).await?;
    println!(
        "HTTP | in flight, mean | min | of | memory MiB, max | with all calls | reqwest alone | per waiting job bytes \
         | per call bytes | jobs/s | CPU us/job"
    );
    for http in [1, 2] {
        if options.http.is_none_or(|only| only == http) {
            measure(options, &binary, http).await?;
        }
    }
    Ok(())
}

/// The memory of a process that has all calls in flight with reqwest alone, in bytes.
async fn bare_bytes(options: &Options, http: u8) -> anyhow::Result<u64> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    let mock = mock::Options {
        latency_min_ms: 0,
        latency_max_ms: 0,
        wait_for_release: true,
    };
    let mock = Subject::mock(&mock.arguments()).await?;
    let bare = Subject::bare(&[
        format!("--base-url={}/v1", mock.url),
        format!("--calls={}", options.calls),
        format!("--http={http}"),
    ])
    .await?;
    let stats = format!("{}/stats", mock.url);
    wait_in_flight(&client, &stats, options.calls.into()).await?;
    let usage = bare.usage()?;
    bare.kill().await?;
    mock.kill().await?;
    Ok(usage.rss_bytes)
}

/// Measures one version of HTTP and prints a line.
async fn measure(options: &Options, binary: &Path, http: u8) -> anyhow::Result<()> {
    let bare_bytes = bare_bytes(options, http).await?;
    let client = reqwest::Client::builder().no_proxy().build()?;
    let calls = options.calls as usize;
    let mean_ms = u64::midpoint(options.latency_min_ms, options.latency_max_ms).max(1);
    // The jobs must last for the time before the count, for the count, and for a call at its end.
    let run_ms = options.latency_max_ms * 2 + u64::from(options.seconds) * 1_000;
    let waiting_jobs = calls * usize::try_from(run_ms / mean_ms + 2)?;

    let mock = mock::Options {
        latency_min_ms: options.latency_min_ms,
        latency_max_ms: options.latency_max_ms,
        wait_for_release: true,
    };
    let mock = Subject::mock(&mock.arguments()).await?;
    let folder = tempfile::tempdir()?;
    let providers_file = folder.path().join("providers.toml");
    std::fs::write(
        &providers_file,
        format!(
            "[providers.bench]\nbase_url = \"{}/v1\"\nkey_env = \"BENCH_KEY\"\nhttp2_prior_knowledge = {}\n",
            mock.url,
            http == 2
        ),
    )?;
    let variables = [
        ("FOREBAY_DATA_DIR", folder.path().display().to_string()),
        (
            "FOREBAY_PROVIDERS_FILE",
            providers_file.display().to_string(),
        ),
        ("BENCH_KEY", String::from("bench")),
        ("FOREBAY_CONCURRENCY", calls.to_string()),
        (
            "FOREBAY_BACKLOG_MAX",
            (2 * (calls + waiting_jobs)).to_string(),
        ),
    ];
    let forebay = Subject::forebay(binary, &[], &variables, None).await?;
    let stats = format!("{}/stats", mock.url);

    // The first call allocates memory that every process with a call needs, whatever the number of its calls.
    closed_loop::submit(&forebay.url, 1, MODEL, Sessions::Ordered).await?;
    wait_in_flight(&client, &stats, 1).await?;
    let idle = forebay.usage()?;
    closed_loop::submit(&forebay.url, calls - 1, MODEL, Sessions::Ordered).await?;
    wait_in_flight(&client, &stats, options.calls.into()).await?;
    let full = forebay.usage()?;
    closed_loop::submit(&forebay.url, waiting_jobs, MODEL, Sessions::Ordered).await?;
    let loaded = forebay.usage()?;

    client
        .post(format!("{}/release", mock.url))
        .send()
        .await?
        .error_for_status()?;
    sleep(Duration::from_millis(options.latency_max_ms * 2)).await;
    let (before, started) = (forebay.usage()?, Instant::now());
    let done_before = queues::get(&client, &stats).await?["done"]
        .as_u64()
        .unwrap_or(0);
    let (mut in_flight_sum, mut samples, mut in_flight_min, mut rss_max) =
        (0, 0, u64::MAX, before.rss_bytes);
    while started.elapsed() < Duration::from_secs(options.seconds.into()) {
        sleep(Duration::from_millis(50)).await;
        let in_flight = queues::get(&client, &stats).await?["in_flight"]
            .as_u64()
            .unwrap_or(0);
        in_flight_sum += in_flight;
        samples += 1;
        in_flight_min = in_flight_min.min(in_flight);
        rss_max = rss_max.max(forebay.usage()?.rss_bytes);
    }
    let after = forebay.usage()?;
    let done = queues::get(&client, &stats).await?["done"]
        .as_u64()
        .unwrap_or(0)
        - done_before;
    let ready_jobs = queues::count(&client, &forebay.url, "ready").await?;
    ensure!(
        ready_jobs > 0,
        "the jobs ended before the end of the count, so the figures are too low: this is a fault of the benchmark"
    );

    #[expect(clippy::cast_precision_loss, reason = "figures to print")]
    let figures = CheckedFigures {
        calls: calls as f64,
        in_flight_mean: in_flight_sum as f64 / f64::from(samples),
        full_bytes: full.rss_bytes as f64,
        bare_bytes: bare_bytes as f64,
        per_waiting_job_bytes: loaded.rss_bytes.saturating_sub(full.rss_bytes) as f64
            / waiting_jobs as f64,
    };
    #[expect(clippy::cast_precision_loss, reason = "figures to print")]
    let line = format!(
        "{} | {:.0} | {in_flight_min} | {calls} | {:.0} | {:.0} | {:.0} | {:.0} | {:.0} | {:.0} | {:.0}",
        if http == 1 { "1.1" } else { "2" },
        figures.in_flight_mean,
        rss_max.max(loaded.rss_bytes) as f64 / MIB,
        figures.full_bytes / MIB,
        figures.bare_bytes / MIB,
        figures.per_waiting_job_bytes,
        full.rss_bytes.saturating_sub(idle.rss_bytes) as f64 / calls as f64,
        done as f64 / started.elapsed().as_secs_f64(),
        (after.cpu_us - before.cpu_us) as f64 / done.max(1) as f64,
    );
    println!("{line}");
    forebay.kill().await?;
    mock.kill().await?;
    if options.check {
        figures.check()?;
    }
    Ok(())
}

/// The measurements that have goals.
struct CheckedFigures {
    calls: f64,
    in_flight_mean: f64,
    /// The memory of Forebay with all calls in flight.
    full_bytes: f64,
    /// The memory of reqwest alone with all calls in flight.
    bare_bytes: f64,
    per_waiting_job_bytes: f64,
}

impl CheckedFigures {
    fn check(&self) -> anyhow::Result<()> {
        let busy_percent = 100.0 * self.in_flight_mean / self.calls;
        ensure!(
            busy_percent >= BUSY_PERCENT_MIN,
            "only {busy_percent:.1} % of the slots have a call in flight, less than {BUSY_PERCENT_MIN} %"
        );
        let ratio = self.full_bytes / self.bare_bytes;
        ensure!(
            ratio <= BARE_RATIO_MAX,
            "the process with all calls in flight needs {ratio:.2} times the memory of reqwest alone, more than \
             {BARE_RATIO_MAX}"
        );
        let bytes = self.per_waiting_job_bytes;
        ensure!(
            bytes <= PER_WAITING_JOB_BYTES_MAX,
            "a waiting job needs {bytes:.0} bytes, more than {PER_WAITING_JOB_BYTES_MAX}"
        );
        Ok(())
    }
}

/// Waits until at least this many calls are in flight.
async fn wait_in_flight(client: &reqwest::Client, stats: &str, calls: u64) -> anyhow::Result<()> {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let in_flight = queues::get(client, stats).await?["in_flight"]
            .as_u64()
            .unwrap_or(0);
        if in_flight >= calls {
            return Ok(());
        }
        ensure!(
            Instant::now() < deadline,
            "only {in_flight} of {calls} calls are in flight after a minute"
        );
        sleep(Duration::from_millis(50)).await;
    }
}
