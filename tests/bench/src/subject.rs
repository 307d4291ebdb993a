//! A process of a measurement: its start, the memory and CPU time that it has used, and its end.

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

/// The timeout of a process's start.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// A process of a measurement. Dropping it kills the process.
pub(crate) struct Subject {
    child: Child,
    /// The URL at which the process listens; empty if it does not listen.
    pub(crate) url: String,
}

/// The memory of a process, and the CPU time that it has used so far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    /// Resident memory, in bytes.
    pub(crate) rss_bytes: u64,
    /// User and system time, in milliseconds.
    pub(crate) cpu_ms: u64,
}

/// Builds the release build of `forebay` and returns its path.
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
        .context("starting cargo to build forebay")?;
    ensure!(status.success(), "cargo could not build forebay");
    let binary = std::env::current_exe()?.with_file_name("forebay");
    ensure!(
        binary.exists(),
        "cargo built forebay, but there is no file {}",
        binary.display()
    );
    Ok(binary)
}

impl Subject {
    /// Starts the LLM server.
    pub(crate) async fn mock(args: &[String]) -> anyhow::Result<Self> {
        let (child, address) = bench("mock", args).await?;
        Ok(Self {
            child,
            url: format!("http://{address}"),
        })
    }

    /// Starts a process that makes calls with reqwest alone.
    pub(crate) async fn bare(args: &[String]) -> anyhow::Result<Self> {
        let (child, _) = bench("bare", args).await?;
        Ok(Self {
            child,
            url: String::new(),
        })
    }

    /// Starts `forebay` with this data folder and these variables. With `cores` it runs only on these cores.
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
            let is_setting = ["FOREBAY_", "OPENAI_", "GEMINI_", "OTEL_"]
                .iter()
                .any(|prefix| text.starts_with(prefix));
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
        let mut lines = BufReader::new(
            child
                .stderr
                .take()
                .context("the process has no output pipe")?,
        )
        .lines();
        let url = first_line(&mut lines, |line| {
            let (_, url) = line.split_once("listening on ")?;
            url.split_whitespace().next().map(str::to_owned)
        })
        .await?;
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                eprintln!("  forebay: {line}");
            }
        });
        Ok(Self { child, url })
    }

    /// The memory of the process, and the CPU time that it has used so far.
    pub(crate) fn cost(&self) -> anyhow::Result<Cost> {
        let pid = self.child.id().context("the process has ended")?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let rss = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .context("the status of the process has no VmRSS")?;
        let rss_kib: u64 = rss.trim().trim_end_matches(" kB").parse()?;
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let (_, fields) = stat
            .rsplit_once(") ")
            .context("the stat file of the process has no fields")?;
        let fields: Vec<&str> = fields.split_whitespace().collect();
        // The user time and the system time are the fields 14 and 15 (proc(5)). Two fields precede this list.
        let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
        let ticks_per_s = rustix::param::clock_ticks_per_second();
        Ok(Cost {
            rss_bytes: rss_kib * 1_024,
            cpu_ms: ticks * 1_000 / ticks_per_s,
        })
    }

    /// Kills the process with SIGKILL and waits until it has ended.
    pub(crate) async fn kill(mut self) -> anyhow::Result<()> {
        self.child
            .kill()
            .await
            .context("killing a process of the measurement")
    }
}

/// Starts this program with another command. Returns the process and the first line of its output.
async fn bench(command: &str, args: &[String]) -> anyhow::Result<(Child, String)> {
    let mut process = Command::new(std::env::current_exe()?);
    process.arg(command).args(args).stdout(Stdio::piped());
    let mut child = spawn(&mut process)?;
    let mut lines = BufReader::new(
        child
            .stdout
            .take()
            .context("the process has no output pipe")?,
    )
    .lines();
    let line = first_line(&mut lines, |line| Some(line.to_owned())).await?;
    Ok((child, line))
}

fn spawn(command: &mut Command) -> anyhow::Result<Child> {
    command
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .context("starting a process of the measurement")
}

/// Reads lines until `find` returns a value, and returns that value. Other lines are printed.
async fn first_line<R: AsyncRead + Unpin>(
    lines: &mut Lines<BufReader<R>>,
    find: impl Fn(&str) -> Option<String>,
) -> anyhow::Result<String> {
    timeout(START_TIMEOUT, async {
        loop {
            let line = lines
                .next_line()
                .await?
                .context("the process ended during its start")?;
            match find(&line) {
                Some(found) => return Ok(found),
                None => eprintln!("  {line}"),
            }
        }
    })
    .await
    .with_context(|| format!("the process did not start within {START_TIMEOUT:?}"))?
}
