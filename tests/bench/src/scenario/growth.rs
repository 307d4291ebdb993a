//! Whether a job costs more while many jobs wait: each step has a backlog of its own size.

use std::time::Duration;

use super::{
    backlog::{self, Size},
    idle::Settle,
};
use crate::{
    context::Context,
    installation::{Installation, Kind, Setup},
    report::{
        line_chart::{Series, line_chart},
        table::Table,
    },
};

/// The options of the measurement.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct GrowthOptions {
    /// The numbers of waiting jobs.
    #[arg(long, value_delimiter = ',', default_values_t = [10_000, 100_000, 1_000_000])]
    sizes: Vec<u32>,
}

/// The fewest jobs whose acceptance is measured at a step, unless they are more than half of its jobs.
const MEASURED_MIN: usize = 5_000;

/// The rows that are plotted, with the names of the files.
const PLOTS: [(&str, &str); 3] = [
    ("accepted, jobs/s", "growth-accepted"),
    ("drained, jobs/s", "growth-drained"),
    ("memory of a waiting job, bytes", "growth-memory"),
];

/// Measures each size. The acceptance is measured with the last jobs, normally a tenth, while all others wait.
///
/// # Errors
/// If an installation fails or a job is lost.
pub(crate) async fn run(context: &mut Context, options: &GrowthOptions) -> anyhow::Result<()> {
    let sizes = context.run.size(options.sizes.clone(), vec![500]);
    let mut plots: Vec<Vec<Series>> = vec![Vec::new(); PLOTS.len()];
    for kind in Kind::ALL {
        let mut table = Table::new(format!("Growth of the backlog, {kind}"));
        for run in 1..=context.run.run_count() {
            for jobs in &sizes {
                context.announce(&format!("{jobs} waiting jobs"), run, Some(kind));
                let rows = measure(context, kind, *jobs as usize).await?;
                table.add(&format!("{jobs} waiting jobs"), rows);
            }
        }
        context.add_table(&table)?;
        for ((row, _), series) in PLOTS.iter().zip(&mut plots) {
            let points = table.row(row).into_iter().filter_map(|(column, figure)| {
                let jobs = column.split(' ').next()?.parse().ok()?;
                Some((jobs, figure.median()))
            });
            series.push((kind.to_string(), points.collect()));
        }
    }
    for ((row, file), series) in PLOTS.iter().zip(plots) {
        context.add_plot(file, &line_chart(row, "waiting jobs", &series))?;
    }
    Ok(())
}

async fn measure(context: &Context, kind: Kind, jobs: usize) -> anyhow::Result<Vec<(String, f64)>> {
    let mut setup = Setup::new(context.binary.clone(), 0);
    // The default limit of 100,000 live jobs would refuse the larger steps.
    setup.variables = vec![("FOREBAY_BACKLOG_MAX", (2 * jobs.max(50_000)).to_string())];
    setup.rewrites_append_only_file = true;
    let mut installation = Installation::start(kind, &setup, &context.servers).await?;
    let last_tenth = (jobs / 10).max(MEASURED_MIN).min(jobs / 2);
    let measured_jobs = context.run.size(last_tenth, jobs);
    let size = Size {
        jobs: measured_jobs,
        warm_up_jobs: jobs - measured_jobs,
        workers: 1,
        sessions: context.run.sessions,
        settle: context.run.size(Settle::Fully, Settle::Briefly),
        drain_timeout: Duration::from_secs(1_800),
    };
    let measured = backlog::measure(&mut installation, size).await?;
    let mut rows = measured.figures();
    // Redis rewrites the append-only file in between, so its size says nothing about a job.
    if kind == Kind::Fleet {
        rows.retain(|(name, _)| !name.starts_with("disk"));
    }
    rows.extend(measured.cpu.rows("backlog"));
    Ok(rows)
}
