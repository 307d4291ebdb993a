//! The main table: throughput, CPU time, memory and latency of a fleet and of one process.

use std::time::Duration;

use super::{
    backlog::{self, Size},
    idle::Settle,
    latency, steady,
};
use crate::{
    context::Context,
    installation::{Installation, Kind, Setup},
    report::{bar_chart::bar_chart, figure::Figure, table::Table},
};

/// The rate of the steady load, in jobs per second.
const STEADY_PER_S: f64 = 1_000.0;

/// Measures all rows for both kinds of installations, in turns.
///
/// # Errors
/// If an installation fails or a job is lost.
pub(crate) async fn run(context: &mut Context) -> anyhow::Result<()> {
    let mut table = Table::new("A fleet of one gateway and one worker, and one process");
    for run in 1..=context.run.run_count() {
        for kind in Kind::ALL {
            context.announce("throughput and latency", run, Some(kind));
            let mut rows = throughput(context, kind).await?;
            rows.extend(steady_load(context, kind).await?);
            rows.extend(latency::measure(context, kind).await?);
            table.add(&kind.to_string(), rows);
        }
    }
    context.add_table(&table)?;
    for (row, file) in [
        ("accepted, jobs/s", "accepted"),
        ("drained, jobs/s", "drained"),
    ] {
        let bars = bars(&table, row);
        context.add_plot(file, &bar_chart(row, &bars))?;
    }
    let names = table.row_names();
    let cpu = names
        .iter()
        .filter_map(|name| Some((*name, name.strip_prefix("CPU time, ")?)));
    let bars: Vec<(String, &Figure)> = cpu
        .flat_map(|(row, name)| {
            let name = name.replace(", us a job", "");
            let bars = bars(&table, row).into_iter();
            bars.map(move |(kind, figure)| (format!("{kind}, {name}"), figure))
        })
        .collect();
    context.add_plot("cpu", &bar_chart("CPU time, us a job", &bars))
}

fn bars<'a>(table: &'a Table, row: &str) -> Vec<(String, &'a Figure)> {
    let row = table.row(row).into_iter();
    row.map(|(kind, figure)| (kind.to_owned(), figure))
        .collect()
}

async fn throughput(context: &Context, kind: Kind) -> anyhow::Result<Vec<(String, f64)>> {
    let setup = Setup::new(context.binary.clone(), 0);
    let mut installation = Installation::start(kind, &setup, &context.servers).await?;
    let size = Size {
        jobs: context.run.size(60_000, 400),
        warm_up_jobs: context.run.size(3_000, 0),
        workers: 1,
        sessions: context.run.sessions,
        settle: context.run.size(Settle::Fully, Settle::Briefly),
        drain_timeout: Duration::from_secs(300),
    };
    let measured = backlog::measure(&mut installation, size).await?;
    let mut rows = measured.figures();
    rows.extend(measured.cpu.rows("backlog"));
    Ok(rows)
}

async fn steady_load(context: &Context, kind: Kind) -> anyhow::Result<Vec<(String, f64)>> {
    let setup = Setup::new(context.binary.clone(), 0);
    let mut installation = Installation::start(kind, &setup, &context.servers).await?;
    let load = steady::Load {
        rate_per_s: context.run.size(STEADY_PER_S, 200.0),
        time: context
            .run
            .size(Duration::from_secs(30), Duration::from_secs(1)),
        sessions: context.run.sessions,
    };
    let cpu = steady::measure(&mut installation, load).await?;
    Ok(cpu.rows(&format!("{:.0} jobs/s", load.rate_per_s)))
}
