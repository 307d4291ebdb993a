//! Measures Forebay as whole processes. Run it with `cargo run --release -p bench -- --help`.
//!
//! The program starts the processes that it measures, on free ports of this machine, and ends them. A debug build
//! runs only with `--smoke`, because its figures are useless.

mod installation;
mod load;
mod options;
mod process;
mod report;
mod scenario;

use anyhow::bail;
use clap::{Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    process::{bare, mock},
    scenario::{cores, cpu, in_flight},
};

#[derive(Debug, Parser)]
#[command(name = "bench", about = "Measures Forebay as whole processes")]
struct Cli {
    #[command(subcommand)]
    benchmark: Benchmark,
}

#[derive(Debug, Subcommand)]
enum Benchmark {
    /// Measures the CPU time of a job by process, also in comparison with another binary.
    Cpu(cpu::Options),
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
}

impl Benchmark {
    /// Whether the benchmark prints no figures that a debug build would make wrong.
    fn works_in_a_debug_build(&self) -> bool {
        match self {
            Self::Cpu(options) => options.run.smoke,
            Self::InFlight(_) | Self::Cores(_) => false,
            Self::Mock(_) | Self::Bare(_) => true,
        }
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let benchmark = Cli::parse().benchmark;
    anyhow::ensure!(
        !cfg!(debug_assertions) || benchmark.works_in_a_debug_build(),
        "the figures of a debug build are useless: run with `cargo run --release -p bench`"
    );
    let (mut interrupt, mut terminate) = (
        signal(SignalKind::interrupt())?,
        signal(SignalKind::terminate())?,
    );
    // A signal drops the future of the benchmark, and that kills all its processes.
    tokio::select! {
        result = run(benchmark) => result,
        _ = interrupt.recv() => bail!("interrupted"),
        _ = terminate.recv() => bail!("terminated"),
    }
}

async fn run(benchmark: Benchmark) -> anyhow::Result<()> {
    match benchmark {
        Benchmark::Cpu(options) => cpu::run(&options).await,
        Benchmark::InFlight(options) => in_flight::run(&options).await,
        Benchmark::Cores(options) => cores::run(&options).await,
        Benchmark::Mock(options) => mock::run(&options).await,
        Benchmark::Bare(options) => bare::run(&options).await,
    }
}
