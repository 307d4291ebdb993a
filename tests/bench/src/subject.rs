//! The processes that are measured: started here, asked for their cost, and ended when dropped.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, ensure};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader, Lines},
    process::{Child, Command},
    time::timeout,
};

/// How long a process may take to start.
const START: Duration = Duration::from_secs(30);

/// A process that was started here.
pub(crate) struct Subject {
    child: Child,
    /// Where it listens, as `http://…`. Empty for a process that does not.
    pub(crate) url: String,
}

/// What a process has cost so far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    /// Resident memory, in bytes.
    pub(crate) rss_bytes: u64,
    /// User and system time, in milliseconds.
    pub(crate) cpu_ms: u64,
}

/// The release build of `forebay`, brought up to date.
pub(crate) async fn forebay_binary() -> anyhow::Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let build = [
        "build",
        "--release",
        "--locked",
        "-p",
        "forebay",
        "--bin",
        "forebay",
    ];
    let status = Command::new(cargo)
        .args(build)
        .status()
        .await
        .context("cargo does not run")?;
    ensure!(status.success(), "forebay does not build");
    let binary = std::env::current_exe()?.with_file_name("forebay");
    ensure!(binary.exists(), "no {}", binary.display());
    Ok(binary)
}

impl Subject {
    /// Starts the scripted LLM server.
    pub(crate) async fn mock(args: &[String]) -> anyhow::Result<Self> {
        let (child, address) = bench("mock", args).await?;
        Ok(Self {
            child,
            url: format!("http://{address}"),
        })
    }

    /// Starts a process that makes calls by reqwest alone.
    pub(crate) async fn bare(args: &[String]) -> anyhow::Result<Self> {
        let (child, _) = bench("bare", args).await?;
        Ok(Self {
            child,
            url: String::new(),
        })
    }

    /// Starts `forebay` on a data folder with these variables, on these cores if any are given.
    pub(crate) async fn forebay(
        binary: &Path,
        data_dir: &Path,
        variables: &[(&str, String)],
        cores: Option<&str>,
    ) -> anyhow::Result<Self> {
        let mut command = match cores {
            Some(cores) => {
                let mut command = Command::new("taskset");
                command.args(["-c", cores]).arg(binary);
                command
            }
            None => Command::new(binary),
        };
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            let is_setting = ["FOREBAY_", "OPENAI_", "GEMINI_"]
                .iter()
                .any(|p| text.starts_with(p));
            if is_setting || text == "AMQP_URL" || text == "REDIS_URL" {
                command.env_remove(&name);
            }
        }
        command
            .env("FOREBAY_LISTEN", "127.0.0.1:0")
            .env("FOREBAY_DATA_DIR", data_dir)
            .env("FOREBAY_LOG", "warn,forebay::run=info")
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .stderr(Stdio::piped());
        let mut child = spawn(&mut command)?;
        let mut lines = BufReader::new(child.stderr.take().context("no output")?).lines();
        let url = first_line(&mut lines, |line| {
            let (_, rest) = line.split_once("listening on ")?;
            rest.split_whitespace().next().map(str::to_owned)
        })
        .await?;
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                eprintln!("  forebay: {line}");
            }
        });
        Ok(Self { child, url })
    }

    /// What it has cost so far.
    pub(crate) fn cost(&self) -> anyhow::Result<Cost> {
        let pid = self.child.id().context("the process has ended")?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let rss = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .context("no VmRSS")?;
        let rss_kib: u64 = rss.trim().trim_end_matches(" kB").parse()?;
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let (_, fields) = stat.rsplit_once(") ").context("no fields")?;
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
        let per_s = rustix::param::clock_ticks_per_second();
        Ok(Cost {
            rss_bytes: rss_kib * 1_024,
            cpu_ms: ticks * 1_000 / per_s,
        })
    }

    /// Ends it as a crash would, and waits until it is gone.
    pub(crate) async fn kill(mut self) -> anyhow::Result<()> {
        self.child
            .kill()
            .await
            .context("the process could not be ended")
    }
}

/// Starts this program with another command; also returns its first line.
async fn bench(command: &str, args: &[String]) -> anyhow::Result<(Child, String)> {
    let mut process = Command::new(std::env::current_exe()?);
    process.arg(command).args(args).stdout(Stdio::piped());
    let mut child = spawn(&mut process)?;
    let mut lines = BufReader::new(child.stdout.take().context("no output")?).lines();
    let line = first_line(&mut lines, |line| Some(line.to_owned())).await?;
    Ok((child, line))
}

fn spawn(command: &mut Command) -> anyhow::Result<Child> {
    command
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .context("a process did not start")
}

async fn first_line<R: AsyncRead + Unpin>(
    lines: &mut Lines<BufReader<R>>,
    find: impl Fn(&str) -> Option<String>,
) -> anyhow::Result<String> {
    timeout(START, async {
        loop {
            let line = lines
                .next_line()
                .await?
                .context("the process ended at its start")?;
            match find(&line) {
                Some(found) => return Ok(found),
                None => eprintln!("  {line}"),
            }
        }
    })
    .await
    .context("the process did not start in time")?
}
