//! The CPU time of a job by process, from its submit to its result or of its submit alone. It is measured for one binary, or for two
//! in alternating order.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, ensure};

use super::{
    backlog::{self, Size},
    cpu_time::{ALL_PARTS, CpuTime},
    idle::Settle,
    steady,
    submits::{self, Batches},
};
use crate::{
    installation::{Installation, Kind, Servers, Setup},
    load::job::API_KEY,
    options::RunOptions,
    process::{binary, subject::LOG_FILTER},
    report::figure::{Figure, Figures, number},
};

/// The options of the measurement.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    /// Compare with this `forebay` binary. The two binaries are measured in pairs whose order alternates.
    #[arg(long)]
    against: Option<PathBuf>,
    /// The number of pairs; by default the number of runs.
    #[arg(long, requires = "against", value_parser = clap::value_parser!(u32).range(1..=50))]
    pairs: Option<u32>,
    /// End with an error if the median ratio of the CPU time of all processes is higher than this.
    #[arg(long, requires = "against")]
    max_ratio: Option<f64>,
    /// The gateway of this build requires an API key, and that of the other binary does not. All requests carry a key.
    #[arg(long)]
    api_keys: bool,
    /// The tenant of the requests has limits, which are too high to refuse a request.
    #[arg(long, requires = "api_keys")]
    limits: bool,
    /// What is measured.
    #[arg(long, value_enum, default_value_t = LoadKind::Backlog)]
    load: LoadKind,
    /// The jobs per second of --load steady.
    #[arg(long, default_value_t = 1_000.0)]
    rate: f64,
    /// Measure only this kind of installation.
    #[arg(long)]
    only: Option<Kind>,
    /// The number of jobs of each run. A tick of CPU time is 10 ms, so 40,000 jobs measure 50 us a job to about 1 %.
    #[arg(long, default_value_t = 40_000, value_parser = clap::value_parser!(u32).range(100..=95_000))]
    jobs: u32,
    #[command(flatten)]
    pub(crate) run: RunOptions,
}

/// The loads under which the CPU time is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum LoadKind {
    /// All jobs are submitted first, without workers, and then drained.
    Backlog,
    /// Workers run the jobs as they come, at a steady rate.
    Steady,
    /// Jobs are submitted without workers, in small batches to each of two builds in turns. Needs --against.
    Submits,
}

impl Options {
    fn jobs(&self) -> u32 {
        self.run.size(self.jobs, 500)
    }

    fn pairs(&self) -> u32 {
        self.pairs.unwrap_or(self.run.run_count())
    }
}

/// Measures, and prints a line for each run or pair, and the medians.
pub(crate) async fn run(options: &Options) -> anyhow::Result<()> {
    ensure!(options.rate >= 1.0, "--rate must be at least 1");
    ensure!(
        options.load != LoadKind::Submits || options.against.is_some(),
        "--load submits compares two builds: add --against"
    );
    let binary = binary::forebay(options.run.binary.as_deref()).await?;
    let against = match &options.against {
        Some(against) => Some(binary::forebay(Some(against)).await?),
        None => None,
    };
    println!("{}", heading(options));
    let keys_file = options
        .api_keys
        .then(|| keys_file(options.limits))
        .transpose()?;
    let keys = keys_file.as_ref().map(tempfile::NamedTempFile::path);
    let servers = Servers::default();
    let mut failures = Vec::new();
    for kind in Kind::ALL {
        if options.only.is_some_and(|only| only != kind) {
            continue;
        }
        match &against {
            None => one_binary(options, kind, (&binary, keys), &servers).await?,
            Some(against) => {
                let subjects = [(binary.as_path(), keys), (against.as_path(), None)];
                let ratio = pairs(options, kind, subjects, &servers).await?;
                if options.max_ratio.is_some_and(|max_ratio| ratio > max_ratio) {
                    failures.push(format!("{kind}: {ratio:.3}"));
                }
            }
        }
    }
    ensure!(
        failures.is_empty(),
        "the ratio of the CPU time is above --max-ratio: {}",
        failures.join(", ")
    );
    Ok(())
}

/// The first line of the output: what is measured, and with which settings.
fn heading(options: &Options) -> String {
    let (jobs, settings) = if options.load == LoadKind::Submits {
        let batches = Batches::of(options.jobs() as usize);
        let setting = format!(", FOREBAY_BACKLOG_MAX={}", backlog_max(batches));
        (batches.measured_jobs(), setting)
    } else {
        (options.jobs() as usize, String::new())
    };
    format!(
        "CPU time in us a job, load {:?}, {jobs} jobs a run, session ids {:?}, FOREBAY_LOG={LOG_FILTER}{settings}, no OTEL_*, other settings by default",
        options.load, options.run.sessions
    )
}

/// A binary, and its file of API keys.
type Measurable<'a> = (&'a Path, Option<&'a Path>);

/// A file with the key of all requests, and with `has_limits` high limits of its tenant.
fn keys_file(has_limits: bool) -> anyhow::Result<tempfile::NamedTempFile> {
    let mut file = tempfile::NamedTempFile::new()?;
    writeln!(file, "bench:{API_KEY}:submit,read,admin")?;
    if has_limits {
        writeln!(file, "[bench] requests=1000000000/60 live=1000000")?;
    }
    Ok(file)
}

async fn one_binary(
    options: &Options,
    kind: Kind,
    binary: Measurable<'_>,
    servers: &Servers,
) -> anyhow::Result<()> {
    let mut figures = Figures::default();
    for number in 1..=options.pairs() {
        let measured = measure(options, kind, binary, servers).await?;
        print_run(&format!("{kind}, run {number}"), &measured);
        figures.push(measured.cpu.figures());
    }
    for (part, figure) in figures.iter() {
        println!("{kind}, median: {part} {figure}");
    }
    Ok(())
}

/// Measures pairs and returns the median ratio of the CPU time of all processes.
async fn pairs(
    options: &Options,
    kind: Kind,
    [binary, against]: [Measurable<'_>; 2],
    servers: &Servers,
) -> anyhow::Result<f64> {
    let mut ratios = Figures::default();
    for number in 1..=options.pairs() {
        let measure = |binary| measure(options, kind, binary, servers);
        let (new, old) = if options.load == LoadKind::Submits {
            submits_in_turns(options, kind, [binary, against], number).await?
        // The order alternates, so that a machine that becomes slower or faster favours neither.
        } else if number % 2 == 1 {
            let new = measure(binary).await?;
            (new, measure(against).await?)
        } else {
            let old = measure(against).await?;
            (measure(binary).await?, old)
        };
        print_run(&format!("{kind}, pair {number}, this build"), &new);
        print_run(&format!("{kind}, pair {number}, the other "), &old);
        let (new, old) = (new.cpu.figures(), old.cpu.figures());
        let pair: Vec<_> = new
            .into_iter()
            .zip(old)
            .map(|((part, new), (_, old))| (part, new / old))
            // A part that neither build has used has no ratio.
            .filter(|(_, ratio)| !ratio.is_nan())
            .collect();
        let shown = pair
            .iter()
            .map(|(part, ratio)| format!("{part} {ratio:.3}"));
        let shown = shown.collect::<Vec<_>>().join(", ");
        println!("{kind}, pair {number}, ratio: {shown}");
        ratios.push(pair);
    }
    for (part, ratio) in ratios.iter() {
        println!(
            "{kind}, median ratio: {part} {:.3} ({:.3} to {:.3})",
            ratio.median(),
            ratio.min(),
            ratio.max()
        );
    }
    ratios
        .get(ALL_PARTS)
        .map(Figure::median)
        .context("no ratio was measured")
}

fn print_run(name: &str, measured: &RunFigures) {
    println!("{name}: {}", describe(&measured.cpu.figures()));
    if !measured.others.is_empty() {
        println!("  {}", describe(&measured.others));
    }
}

fn describe(figures: &[(String, f64)]) -> String {
    let figures = figures
        .iter()
        .map(|(name, value)| format!("{name} {}", number(*value)));
    figures.collect::<Vec<_>>().join("; ")
}

/// The setup of an installation of this binary.
fn setup((binary, keys): Measurable<'_>) -> Setup {
    let mut setup = Setup::new(binary.to_owned(), 0);
    if let Some(path) = keys {
        let path = path.display().to_string();
        setup.variables.push(("FOREBAY_API_KEYS_FILE", path));
    }
    setup
}

/// The `FOREBAY_BACKLOG_MAX` of submits without workers. The default of 100,000 live jobs would refuse the last ones of a long run.
fn backlog_max(batches: Batches) -> usize {
    2 * batches.all_jobs().max(50_000)
}

/// Measures submits to an installation of each binary, and returns this build first. The number of the pair decides which
/// installation starts first and gets the first batch.
async fn submits_in_turns(
    options: &Options,
    kind: Kind,
    [binary, against]: [Measurable<'_>; 2],
    number: u32,
) -> anyhow::Result<(RunFigures, RunFigures)> {
    let is_new_first = number % 2 == 1;
    let [first, second] = if is_new_first {
        [binary, against]
    } else {
        [against, binary]
    };
    let batches = Batches::of(options.jobs() as usize);
    let mut setups = [setup(first), setup(second)];
    for setup in &mut setups {
        let backlog_max = backlog_max(batches).to_string();
        setup.variables.push(("FOREBAY_BACKLOG_MAX", backlog_max));
    }
    // Each fleet has a RabbitMQ of its own, so that its CPU time belongs to one build.
    let servers = [Servers::default(), Servers::default()];
    let first = Installation::start(kind, &setups[0], &servers[0]).await?;
    let second = Installation::start(kind, &setups[1], &servers[1]).await?;
    let cpu = submits::measure([&first, &second], batches, options.run.sessions).await?;
    let [first, second] = cpu.map(|cpu| RunFigures {
        cpu,
        others: Vec::new(),
    });
    Ok(if is_new_first {
        (first, second)
    } else {
        (second, first)
    })
}

async fn measure(
    options: &Options,
    kind: Kind,
    binary: Measurable<'_>,
    servers: &Servers,
) -> anyhow::Result<RunFigures> {
    let mut installation = Installation::start(kind, &setup(binary), servers).await?;
    let jobs = options.jobs();
    let sessions = options.run.sessions;
    if options.load == LoadKind::Steady {
        let load = steady::Load {
            rate_per_s: options.rate,
            time: Duration::from_secs_f64(f64::from(jobs) / options.rate),
            sessions,
        };
        let cpu = steady::measure(&mut installation, load).await?;
        return Ok(RunFigures {
            cpu,
            others: Vec::new(),
        });
    }
    let jobs = jobs as usize;
    let size = Size {
        jobs,
        warm_up_jobs: (jobs / 20).max(64),
        workers: 1,
        sessions,
        settle: options.run.size(Settle::Fully, Settle::Briefly),
        drain_timeout: Duration::from_secs(300),
    };
    let measured = backlog::measure(&mut installation, size).await?;
    Ok(RunFigures {
        others: measured.figures(),
        cpu: measured.cpu,
    })
}

/// The figures of one run.
struct RunFigures {
    cpu: CpuTime,
    /// The figures that are only printed.
    others: Vec<(String, f64)>,
}
