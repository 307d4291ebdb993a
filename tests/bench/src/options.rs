//! The options that the scenarios share.

use std::path::PathBuf;

use crate::load::job::Sessions;

/// The options that the scenarios share.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct RunOptions {
    /// The session ids of the jobs.
    #[arg(long, value_enum, default_value_t = Sessions::Random)]
    pub(crate) sessions: Sessions,
    /// Measure this `forebay` binary. Without it, a release build of `bench` builds one, and a debug build takes the one in its own folder.
    #[arg(long)]
    pub(crate) binary: Option<PathBuf>,
    /// The number of runs of each measurement. The tables show the medians, with the lowest and the highest run.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=50))]
    runs: u32,
    /// The folder for the tables and plots.
    #[arg(long, default_value = "target/bench")]
    pub(crate) out: PathBuf,
    /// Run once with tiny sizes. This shows that everything works, and not how fast. Only with this may a debug build run.
    #[arg(long)]
    pub(crate) smoke: bool,
}

impl RunOptions {
    /// The number of runs of each measurement.
    pub(crate) fn run_count(&self) -> u32 {
        self.size(self.runs, 1)
    }

    /// `full`, or with `--smoke` the `tiny` size.
    pub(crate) fn size<T>(&self, full: T, tiny: T) -> T {
        if self.smoke { tiny } else { full }
    }
}
