//! A spike: ten times as many jobs as the slots can run, for a minute. 256 slots and a provider that takes 0.5 s run 512 jobs per
//! second.

use std::time::{Duration, Instant};

use anyhow::ensure;
use tokio::time::sleep;

use super::idle::{Settle, until_idle};
use crate::{
    context::Context,
    installation::{Installation, Kind, MODEL, Part, Setup},
    load::{outcome::check_completed, submits_at_rate},
    report::{figure::percentile, table::Table},
};

/// The rate of the spike, as a multiple of the rate that the slots can run.
const FACTOR: f64 = 10.0;
/// How long the drain may take.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(900);

/// The options of the measurement.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct SpikeOptions {
    /// How long the spike lasts, in seconds.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: u32,
}

/// A spike and the installation that gets it.
struct Spike {
    slots: u32,
    provider_ms: u64,
    backlog_max: u32,
    time: Duration,
}

/// Measures the spike for both kinds of installations.
///
/// # Errors
/// If an installation fails or a job is lost.
pub(crate) async fn run(context: &mut Context, options: &SpikeOptions) -> anyhow::Result<()> {
    // The full size has the defaults of FOREBAY_CONCURRENCY and FOREBAY_BACKLOG_MAX.
    let full = Spike {
        slots: 256,
        provider_ms: 500,
        backlog_max: 100_000,
        time: Duration::from_secs(options.seconds.into()),
    };
    let tiny = Spike {
        slots: 10,
        provider_ms: 100,
        backlog_max: 150,
        time: Duration::from_secs(1),
    };
    let spike = context.run.size(full, tiny);
    let mut table = Table::new(format!(
        "A spike of {:.0} jobs/s for {:?}, ten times what the slots can run",
        spike.rate_per_s(),
        spike.time
    ));
    for run in 1..=context.run.run_count() {
        for kind in Kind::ALL {
            context.announce("a spike", run, Some(kind));
            table.add(&kind.to_string(), measure(context, kind, &spike).await?);
        }
    }
    context.add_table(&table)
}

impl Spike {
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    fn rate_per_s(&self) -> f64 {
        FACTOR * f64::from(self.slots) * 1_000.0 / self.provider_ms as f64
    }
}

#[expect(clippy::cast_precision_loss, reason = "figures to print")]
async fn measure(
    context: &Context,
    kind: Kind,
    spike: &Spike,
) -> anyhow::Result<Vec<(String, f64)>> {
    let mut setup = Setup::new(context.binary.clone(), spike.provider_ms);
    if context.run.smoke {
        setup.variables = vec![
            ("FOREBAY_CONCURRENCY", spike.slots.to_string()),
            ("FOREBAY_BACKLOG_MAX", spike.backlog_max.to_string()),
        ];
    }
    let mut installation = Installation::start(kind, &setup, &context.servers).await?;
    installation.release_workers(1).await?;
    until_idle(&installation, Settle::Briefly).await?;
    let client = reqwest::Client::builder().no_proxy().build()?;
    let offered = submits_at_rate::submit(
        installation.url(),
        spike.rate_per_s(),
        spike.time,
        MODEL,
        context.run.sessions,
    )
    .await?;
    let began = Instant::now();
    while installation.live_jobs(&client).await? > 0 {
        ensure!(
            began.elapsed() < DRAIN_TIMEOUT,
            "jobs are live {DRAIN_TIMEOUT:?} after the spike"
        );
        sleep(Duration::from_millis(200)).await;
    }
    let drain_s = began.elapsed().as_secs_f64();
    check_completed(installation.url(), &offered.accepted).await?;
    let mut rows = vec![
        (
            String::from("accepted, jobs"),
            offered.accepted.len() as f64,
        ),
        (
            String::from("refused with 503, jobs"),
            offered.refused as f64,
        ),
    ];
    for (name, latencies_us) in [
        ("a submit", &offered.since_sent_us),
        // If the clients cannot keep up with the rate, submits are sent late.
        ("a submit since it was due", &offered.since_due_us),
    ] {
        for percent in [50.0, 99.0] {
            let ms = percentile(latencies_us, percent) / 1_000.0;
            rows.push((format!("p{percent:.0} of {name}, ms"), ms));
        }
    }
    rows.push((String::from("time until all jobs have ended, s"), drain_s));
    for (part, usage) in installation.usage()? {
        if part != Part::RabbitMq {
            let name = format!("{part}, memory, highest, MiB");
            rows.push((name, usage.rss_peak_bytes as f64 / 1_048_576.0));
        }
    }
    Ok(rows)
}
