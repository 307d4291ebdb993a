//! Many calls at a time in one process: how many are really in flight, and what each costs in memory.
//!
//! First the provider holds every reply: with all slots taken, what the process has grown by is the cost
//! of the calls; what it grows by while further jobs are submitted is the cost of jobs that wait. Then
//! it answers, each call after 2 to 5 seconds, and the calls in flight are counted on its side.

use std::time::Duration;

use anyhow::ensure;
use tokio::time::{Instant, sleep};

use crate::{
    load,
    subject::{Subject, forebay_binary},
};

const MIB: f64 = 1_048_576.0;

/// What `--check` asks: of 100 slots, how many have a call in flight on average.
const BUSY_PERCENT_MIN: f64 = 99.0;
/// The most memory of a process, over HTTP/1.1 and over HTTP/2, for each call that it may have in flight.
const PER_SLOT_BYTES_MAX: [f64; 2] = [300.0 * MIB / 10_000.0, 150.0 * MIB / 10_000.0];
/// The most memory of a job that waits, beyond its body.
const PER_WAITING_JOB_BYTES_MAX: f64 = 4_096.0;

/// What is measured.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    /// Calls at a time.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(10..=15_000))]
    calls: u32,
    /// For how long calls in flight are counted, in seconds.
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u32).range(5..=120))]
    seconds: u32,
    /// The shortest latency of the provider, in milliseconds.
    #[arg(long, default_value_t = 2_000)]
    latency_min_ms: u64,
    /// The longest latency of the provider, in milliseconds.
    #[arg(long, default_value_t = 5_000)]
    latency_max_ms: u64,
    /// Only over this version of HTTP: 1 or 2.
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=2))]
    http: Option<u8>,
    /// End with an error unless 99 % of the slots are busy on average, the process needs at most 30 KiB for each over
    /// HTTP/1.1 and 15 KiB over HTTP/2, and a waiting job at most 4 KiB.
    #[arg(long)]
    check: bool,
}

/// Measures, and prints one line for each version of HTTP.
pub(crate) async fn run(options: &Options) -> anyhow::Result<()> {
    let binary = forebay_binary().await?;
    println!(
        "HTTP | in flight, mean | min | of | memory MiB, max | per waiting job bytes | per call bytes \
         | jobs/s | CPU us/job"
    );
    for http in [1, 2] {
        if options.http.is_none_or(|only| only == http) {
            measure(options, &binary, http).await?;
        }
    }
    Ok(())
}

async fn measure(options: &Options, binary: &std::path::Path, http: u8) -> anyhow::Result<()> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    let calls = options.calls as usize;
    let mean_ms = u64::midpoint(options.latency_min_ms, options.latency_max_ms).max(1);
    // Enough for the ramp, the count and the calls that are still in flight at its end.
    let run_ms = options.latency_max_ms * 2 + u64::from(options.seconds) * 1_000;
    let waiting = calls * usize::try_from(run_ms / mean_ms + 2)?;

    let mock = Subject::mock(&[
        String::from("--hold"),
        format!("--latency-min-ms={}", options.latency_min_ms),
        format!("--latency-max-ms={}", options.latency_max_ms),
    ])
    .await?;
    let folder = tempfile::tempdir()?;
    let variables = [
        ("OPENAI_BASE_URL", format!("{}/v1", mock.url)),
        ("OPENAI_API_KEY", String::from("bench")),
        ("FOREBAY_CONCURRENCY", calls.to_string()),
        ("FOREBAY_BACKLOG_MAX", (2 * (calls + waiting)).to_string()),
        ("FOREBAY_HTTP2_PRIOR_KNOWLEDGE", (http == 2).to_string()),
    ];
    let forebay = Subject::forebay(binary, folder.path(), &variables, None).await?;
    let stats = format!("{}/stats", mock.url);

    // A first job brings up what every process has: buffers, TLS, tables.
    load::submit(&forebay.url, 1, "bench").await?;
    wait_in_flight(&client, &stats, 1).await?;
    let idle = forebay.cost()?;
    load::submit(&forebay.url, calls - 1, "bench").await?;
    wait_in_flight(&client, &stats, options.calls.into()).await?;
    let full = forebay.cost()?;
    load::submit(&forebay.url, waiting, "bench").await?;
    let loaded = forebay.cost()?;

    client
        .post(format!("{}/release", mock.url))
        .send()
        .await?
        .error_for_status()?;
    sleep(Duration::from_millis(options.latency_max_ms * 2)).await;
    let (before, started) = (forebay.cost()?, Instant::now());
    let done_before = load::get(&client, &stats).await?["done"]
        .as_u64()
        .unwrap_or(0);
    let (mut sum, mut samples, mut least, mut rss_max) = (0, 0, u64::MAX, before.rss_bytes);
    while started.elapsed() < Duration::from_secs(options.seconds.into()) {
        sleep(Duration::from_millis(50)).await;
        let now = load::get(&client, &stats).await?["in_flight"]
            .as_u64()
            .unwrap_or(0);
        sum += now;
        samples += 1;
        least = least.min(now);
        rss_max = rss_max.max(forebay.cost()?.rss_bytes);
    }
    let after = forebay.cost()?;
    let done = load::get(&client, &stats).await?["done"]
        .as_u64()
        .unwrap_or(0)
        - done_before;
    let left = load::queue(&client, &forebay.url, "ready").await?;
    ensure!(
        left > 0,
        "all jobs were done before the count was over: it counted an empty queue"
    );

    #[expect(clippy::cast_precision_loss, reason = "figures to print")]
    let figures = Figures {
        calls: calls as f64,
        in_flight_mean: sum as f64 / f64::from(samples),
        rss_bytes: rss_max.max(loaded.rss_bytes) as f64,
        per_waiting_job_bytes: loaded.rss_bytes.saturating_sub(full.rss_bytes) as f64
            / waiting as f64,
    };
    #[expect(clippy::cast_precision_loss, reason = "figures to print")]
    let line = format!(
        "{} | {:.0} | {least} | {calls} | {:.0} | {:.0} | {:.0} | {:.0} | {:.0}",
        if http == 1 { "1.1" } else { "2" },
        figures.in_flight_mean,
        figures.rss_bytes / MIB,
        figures.per_waiting_job_bytes,
        full.rss_bytes.saturating_sub(idle.rss_bytes) as f64 / calls as f64,
        done as f64 / started.elapsed().as_secs_f64(),
        (after.cpu_ms - before.cpu_ms) as f64 * 1_000.0 / done.max(1) as f64,
    );
    println!("{line}");
    forebay.kill().await?;
    mock.kill().await?;
    if options.check {
        figures.check(http)?;
    }
    Ok(())
}

/// What is promised.
struct Figures {
    calls: f64,
    in_flight_mean: f64,
    rss_bytes: f64,
    per_waiting_job_bytes: f64,
}

impl Figures {
    fn check(&self, http: u8) -> anyhow::Result<()> {
        let busy_percent = 100.0 * self.in_flight_mean / self.calls;
        ensure!(
            busy_percent >= BUSY_PERCENT_MIN,
            "only {busy_percent:.1} % of the slots are busy"
        );
        let [own, shared] = PER_SLOT_BYTES_MAX;
        let bytes_max = self.calls * if http == 1 { own } else { shared };
        let (mib, mib_max) = (self.rss_bytes / MIB, bytes_max / MIB);
        ensure!(
            self.rss_bytes <= bytes_max,
            "the process has {mib:.0} MiB, more than {mib_max:.0}"
        );
        let bytes = self.per_waiting_job_bytes;
        ensure!(
            bytes <= PER_WAITING_JOB_BYTES_MAX,
            "a waiting job takes {bytes:.0} bytes, more than {PER_WAITING_JOB_BYTES_MAX}"
        );
        Ok(())
    }
}

async fn wait_in_flight(client: &reqwest::Client, stats: &str, calls: u64) -> anyhow::Result<()> {
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let now = load::get(client, stats).await?["in_flight"]
            .as_u64()
            .unwrap_or(0);
        if now >= calls {
            return Ok(());
        }
        ensure!(
            Instant::now() < until,
            "only {now} of {calls} calls are in flight after a minute"
        );
        sleep(Duration::from_millis(50)).await;
    }
}
