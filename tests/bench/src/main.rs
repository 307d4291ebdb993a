//! Measures Forebay as whole processes. Run it with `cargo run --release -p bench -- --help`.
//!
//! Everything it measures it starts itself, on free ports of this machine, and ends again. Debug builds
//! measure nothing, so it refuses to run as one.

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
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Many calls at a time in one process: how many, and what they cost in memory.
    InFlight(in_flight::Options),
    /// Jobs per second with one core and with two, without latency.
    Cores(cores::Options),
    /// The scripted LLM server that the others start.
    #[command(hide = true)]
    Mock(mock::Options),
    /// Calls by reqwest alone, which `in-flight` compares with.
    #[command(hide = true)]
    Bare(bare::Options),
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    anyhow::ensure!(
        !cfg!(debug_assertions),
        "a debug build measures nothing: add --release"
    );
    match Cli::parse().what {
        What::InFlight(options) => in_flight::run(&options).await,
        What::Cores(options) => cores::run(&options).await,
        What::Mock(options) => mock::run(&options).await,
        What::Bare(options) => bare::run(&options).await,
    }
}
