//! The latency that Forebay adds to a provider that takes 100 ms, at 20 jobs per second.

use std::time::Duration;

use super::idle::{Settle, until_idle};
use crate::{
    context::Context,
    installation::{Installation, Kind, MODEL, Setup},
    load::results::{Fetch, Requests, fetch_at_rate},
    report::figure::percentile,
};

/// The latency of the provider, in milliseconds.
const PROVIDER_MS: u64 = 100;
const RATE_PER_S: f64 = 20.0;
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// Measures the latency for clients that wait, and for clients that poll. The rows are in milliseconds.
///
/// # Errors
/// If an installation fails or a job is not completed.
pub(super) async fn measure(context: &Context, kind: Kind) -> anyhow::Result<Vec<(String, f64)>> {
    let setup = Setup::new(context.binary.clone(), PROVIDER_MS);
    let mut installation = Installation::start(kind, &setup, &context.servers).await?;
    installation.release_workers(1).await?;
    until_idle(
        &installation,
        context.run.size(Settle::Fully, Settle::Briefly),
    )
    .await?;
    let requests = Requests {
        model: MODEL,
        sessions: context.run.sessions,
    };
    let (warm_up_jobs, jobs) = context.run.size((60, 400), (2, 10));
    let mut rows = Vec::new();
    for (name, fetch) in [
        ("with wait_s", Fetch::Wait),
        ("polling every 5 ms", Fetch::Poll(POLL_INTERVAL)),
    ] {
        let url = installation.url();
        fetch_at_rate(url, RATE_PER_S, warm_up_jobs, requests, fetch).await?;
        let took_us = fetch_at_rate(url, RATE_PER_S, jobs, requests, fetch).await?;
        for percent in [50.0, 99.0] {
            #[expect(clippy::cast_precision_loss, reason = "a latency to print")]
            let added_ms = percentile(&took_us, percent) / 1_000.0 - PROVIDER_MS as f64;
            rows.push((format!("added latency {name}, p{percent:.0}, ms"), added_ms));
        }
    }
    Ok(rows)
}
