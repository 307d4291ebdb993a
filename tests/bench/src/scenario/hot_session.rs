//! One session with many turns, with an LLM server that answers at once. Its jobs run one after another.

use std::time::{Duration, Instant};

use anyhow::ensure;
use tokio::time::sleep;

use super::idle::{Settle, until_idle};
use crate::{
    context::Context,
    installation::{Installation, Kind, MODEL, Setup},
    load::{
        outcome::check_completed,
        results::{fetch_turns, submit_turns},
    },
    report::{figure::percentile, table::Table},
};

/// How long the waiting turns may take.
const TIMEOUT: Duration = Duration::from_secs(120);

/// Measures turns one after another, and turns that wait for each other.
///
/// # Errors
/// If an installation fails or a job is lost.
pub(crate) async fn run(context: &mut Context) -> anyhow::Result<()> {
    let mut table = Table::new("One session");
    for run in 1..=context.run.run_count() {
        for kind in Kind::ALL {
            context.announce("a hot session", run, Some(kind));
            table.add(&kind.to_string(), measure(context, kind).await?);
        }
    }
    context.add_table(&table)
}

#[expect(clippy::cast_precision_loss, reason = "figures to print")]
async fn measure(context: &Context, kind: Kind) -> anyhow::Result<Vec<(String, f64)>> {
    let setup = Setup::new(context.binary.clone(), 0);
    let mut installation = Installation::start(kind, &setup, &context.servers).await?;
    installation.release_workers(1).await?;
    until_idle(&installation, Settle::Briefly).await?;
    let url = installation.url();
    let client = reqwest::Client::builder().no_proxy().build()?;

    // A turn is two messages, and a session keeps 200 messages. So the session is full for the last hundred turns.
    let (turns, shown) = context.run.size((400, 100), (12, 4));
    let began = Instant::now();
    let took_us = fetch_turns(url, "one-after-another", turns, MODEL).await?;
    let mut rows = vec![(
        String::from("turns one after another, turns/s"),
        turns as f64 / began.elapsed().as_secs_f64(),
    )];
    for (name, part) in [
        (format!("turns 1 to {shown}"), &took_us[..shown]),
        (
            format!("turns {} to {turns}", turns - shown + 1),
            &took_us[turns - shown..],
        ),
    ] {
        for percent in [50.0, 99.0] {
            let ms = percentile(part, percent) / 1_000.0;
            rows.push((format!("{name}, p{percent:.0}, ms"), ms));
        }
    }

    // A session accepts up to 200 live jobs.
    let waiting = context.run.size(150, 20);
    let answered_before = installation.calls_answered(&client).await?;
    let began = Instant::now();
    let ids = submit_turns(url, "waiting", waiting, MODEL).await?;
    while installation.calls_answered(&client).await? < answered_before + waiting as u64 {
        ensure!(
            began.elapsed() < TIMEOUT,
            "the turns of a session have not run after {TIMEOUT:?}"
        );
        sleep(Duration::from_millis(2)).await;
    }
    let elapsed_s = began.elapsed().as_secs_f64();
    rows.push((
        format!("{waiting} turns submitted at once, turns/s"),
        waiting as f64 / elapsed_s,
    ));
    while installation.live_jobs(&client).await? > 0 {
        ensure!(began.elapsed() < TIMEOUT, "jobs are live after {TIMEOUT:?}");
        sleep(Duration::from_millis(200)).await;
    }
    check_completed(url, &ids).await?;
    Ok(rows)
}
