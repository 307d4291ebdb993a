//! One to four workers of a fleet, with a provider whose latency limits them: 256 slots and 0.5 s allow 512 jobs per second and worker.

use std::time::Duration;

use super::{
    backlog::{self, Size},
    idle::Settle,
};
use crate::{
    context::Context,
    installation::{Installation, Kind, Setup},
    report::{line_chart::line_chart, table::Table},
};

const WORKERS_MAX: u32 = 4;
/// The latency of the provider, in milliseconds.
const PROVIDER_MS: u64 = 500;
/// About eight seconds of work for one worker.
const JOBS_PER_WORKER: usize = 4_096;

/// Measures the drain with one to four workers.
///
/// # Errors
/// If an installation fails or a job is lost.
pub(crate) async fn run(context: &mut Context) -> anyhow::Result<()> {
    let provider_ms = context.run.size(PROVIDER_MS, 10);
    let mut table = Table::new(format!(
        "Workers of a fleet, with a provider that takes {provider_ms} ms"
    ));
    for run in 1..=context.run.run_count() {
        for workers in 1..=WORKERS_MAX {
            if context.run.smoke && workers < WORKERS_MAX {
                continue;
            }
            context.announce(&format!("{workers} workers"), run, Some(Kind::Fleet));
            let setup = Setup::new(context.binary.clone(), provider_ms);
            let mut fleet = Installation::start(Kind::Fleet, &setup, &context.servers).await?;
            let size = Size {
                jobs: context.run.size(JOBS_PER_WORKER, 150) * workers as usize,
                warm_up_jobs: 64,
                workers,
                sessions: context.run.sessions,
                settle: context.run.size(Settle::Fully, Settle::Briefly),
                drain_timeout: Duration::from_secs(120),
            };
            let measured = backlog::measure(&mut fleet, size).await?;
            let mut rows = vec![(String::from(DRAINED), measured.drained_per_s)];
            rows.extend(measured.cpu.rows("backlog"));
            table.add(&workers.to_string(), rows);
        }
    }
    context.add_table(&table)?;
    let points = table.row(DRAINED).into_iter();
    let points =
        points.filter_map(|(workers, figure)| Some((workers.parse().ok()?, figure.median())));
    let series = [(String::from("fleet"), points.collect())];
    context.add_plot("workers", &line_chart(DRAINED, "workers", &series))
}

const DRAINED: &str = "drained, jobs/s";
