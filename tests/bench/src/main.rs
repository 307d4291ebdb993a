//! Measures Forebay as whole processes. Run it with `cargo run --release -p bench -- --help`.
//!
//! The program starts the processes that it measures, on free ports of this machine, and ends them. A debug build
//! runs only with `--smoke`, because its figures are useless.

mod context;
mod installation;
mod load;
mod options;
mod process;
mod report;
mod scenario;

use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{Parser, Subcommand};
use tokio::{
    signal::unix::{SignalKind, signal},
    time::timeout,
};

use crate::{
    context::Context,
    options::RunOptions,
    process::{bare, bare_gateway, mock},
    scenario::{cores, cpu, growth, hot_session, in_flight, raw, spike, throughput, workers},
};

#[derive(Debug, Parser)]
#[command(
    name = "bench",
    about = "Measures Forebay as whole processes; without a command: raw, table, workers, hot-session, spike and growth",
    args_conflicts_with_subcommands = true
)]
struct Cli {
    #[command(subcommand)]
    benchmark: Option<Benchmark>,
    #[command(flatten)]
    all: Everything,
}

#[derive(Debug, clap::Args)]
struct Everything {
    #[command(flatten)]
    growth: growth::GrowthOptions,
    #[command(flatten)]
    spike: spike::SpikeOptions,
    #[command(flatten)]
    run: RunOptions,
}

#[derive(Debug, Subcommand)]
enum Benchmark {
    /// Measures throughput, CPU time, memory and latency of a fleet and of one process.
    Table(RunOptions),
    /// Measures the raw limits of this machine: Redis, RabbitMQ, axum and reqwest alone.
    Raw(RunOptions),
    /// Measures the CPU time of a job by process, also in comparison with another binary.
    Cpu(cpu::Options),
    /// Measures whether a job costs more while many jobs wait.
    Growth {
        #[command(flatten)]
        growth: growth::GrowthOptions,
        #[command(flatten)]
        run: RunOptions,
    },
    /// Measures a minute with ten times as many jobs as the slots can run.
    Spike {
        #[command(flatten)]
        spike: spike::SpikeOptions,
        #[command(flatten)]
        run: RunOptions,
    },
    /// Measures many turns of one session.
    HotSession(RunOptions),
    /// Measures one to four workers of a fleet.
    Workers(RunOptions),
    /// Measures many calls at a time in one process: how many are in flight, and how much memory they need.
    InFlight(in_flight::Options),
    /// Measures the jobs per second on one core and on two, with calls that take no time.
    Cores(cores::Options),
    /// Runs the LLM server that the benchmarks start.
    #[command(hide = true)]
    Mock(mock::Options),
    /// Makes the calls of `in-flight` with reqwest alone, for comparison.
    #[command(hide = true)]
    Bare(bare::Options),
    /// Answers submits with axum alone, for comparison.
    #[command(hide = true)]
    BareGateway,
}

impl Cli {
    /// Whether a debug build may run this command: it measures nothing, or nobody uses its figures (`--smoke`).
    fn works_in_a_debug_build(&self) -> bool {
        match &self.benchmark {
            None => self.all.run.smoke,
            Some(
                Benchmark::Table(run)
                | Benchmark::Raw(run)
                | Benchmark::HotSession(run)
                | Benchmark::Workers(run)
                | Benchmark::Growth { run, .. }
                | Benchmark::Spike { run, .. },
            ) => run.smoke,
            Some(Benchmark::Cpu(options)) => options.run.smoke,
            Some(Benchmark::InFlight(_) | Benchmark::Cores(_)) => false,
            Some(Benchmark::Mock(_) | Benchmark::Bare(_) | Benchmark::BareGateway) => true,
        }
    }
}

/// How long a measurement may take before it ends with an error.
const TIME_LIMIT: Duration = Duration::from_secs(8 * 3_600);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    anyhow::ensure!(
        !cfg!(debug_assertions) || cli.works_in_a_debug_build(),
        "the figures of a debug build are useless: run with `cargo run --release -p bench`"
    );
    let (mut interrupt, mut terminate) = (
        signal(SignalKind::interrupt())?,
        signal(SignalKind::terminate())?,
    );
    // A signal drops the future of the benchmark, and that kills all its processes.
    tokio::select! {
        result = timeout(TIME_LIMIT, run(cli)) => {
            result.with_context(|| format!("the measurement has not ended after {TIME_LIMIT:?}"))?
        }
        _ = interrupt.recv() => bail!("interrupted"),
        _ = terminate.recv() => bail!("terminated"),
    }
}

async fn run(cli: Cli) -> anyhow::Result<()> {
    let Some(benchmark) = cli.benchmark else {
        return everything(cli.all).await;
    };
    match benchmark {
        Benchmark::Table(run) => throughput::run(&mut Context::new(run, "table").await?).await,
        Benchmark::Raw(run) => raw::run(&mut Context::new(run, "raw").await?).await,
        Benchmark::Cpu(options) => cpu::run(&options).await,
        Benchmark::Growth { growth, run } => {
            growth::run(&mut Context::new(run, "growth").await?, &growth).await
        }
        Benchmark::Spike { spike, run } => {
            spike::run(&mut Context::new(run, "spike").await?, &spike).await
        }
        Benchmark::HotSession(run) => {
            hot_session::run(&mut Context::new(run, "hot-session").await?).await
        }
        Benchmark::Workers(run) => workers::run(&mut Context::new(run, "workers").await?).await,
        Benchmark::InFlight(options) => in_flight::run(&options).await,
        Benchmark::Cores(options) => cores::run(&options).await,
        Benchmark::Mock(options) => mock::run(&options).await,
        Benchmark::Bare(options) => bare::run(&options).await,
        Benchmark::BareGateway => bare_gateway::run().await,
    }
}

async fn everything(options: Everything) -> anyhow::Result<()> {
    let mut context = Context::new(options.run, "everything").await?;
    raw::run(&mut context).await?;
    throughput::run(&mut context).await?;
    workers::run(&mut context).await?;
    hot_session::run(&mut context).await?;
    spike::run(&mut context, &options.spike).await?;
    growth::run(&mut context, &options.growth).await
}
