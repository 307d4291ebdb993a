//! Measures Forebay as whole processes. Run it with `cargo run --release -p bench -- --help`.
//!
//! The program starts the processes that it measures, on free ports of this machine, and ends them. A debug build
//! refuses to run, because its figures are useless.

mod bare;
mod cores;
mod in_flight;
mod load;
mod mock;
mod subject;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "bench", about = "Measures Forebay as whole processes")]
struct Cli {
    #[command(subcommand)]
    benchmark: Benchmark,
}

#[derive(Debug, Subcommand)]
enum Benchmark {
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

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    anyhow::ensure!(
        !cfg!(debug_assertions),
        "the figures of a debug build are useless: run with `cargo run --release -p bench`"
    );
    match Cli::parse().benchmark {
        Benchmark::InFlight(options) => in_flight::run(&options).await,
        Benchmark::Cores(options) => cores::run(&options).await,
        Benchmark::Mock(options) => mock::run(&options).await,
        Benchmark::Bare(options) => bare::run(&options).await,
    }
}
