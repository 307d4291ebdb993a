//! A process of a measurement: its start, what it uses, and its end.

use std::{path::Path, process::Stdio, time::Duration};

use anyhow::Context;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader, Lines},
    process::{Child, Command},
    time::timeout,
};

use super::usage::Usage;

/// The timeout of a process's start. A process over the embedded engine reads its waiting jobs before it listens.
const START_TIMEOUT: Duration = Duration::from_secs(120);

/// The log filter of the measured processes: warnings, and the line that contains the address.
pub(crate) const LOG_FILTER: &str = "warn,forebay::run=info";

/// A process of a measurement. Dropping it kills the process.
pub(crate) struct Subject {
    child: Child,
    /// The URL at which the process listens; empty if it does not listen.
    pub(crate) url: String,
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

    /// Starts a server that answers submits with axum alone.
    pub(crate) async fn bare_gateway() -> anyhow::Result<Self> {
        let (child, address) = bench("bare-gateway", &[]).await?;
        Ok(Self {
            child,
            url: format!("http://{address}"),
        })
    }

    /// Starts `forebay` with these arguments and variables, and waits until it is ready. It does not get
    /// the settings in the environment of `bench`. With `cores` it runs only on these cores.
    pub(crate) async fn forebay(
        binary: &Path,
        args: &[&str],
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
            if affects_forebay(&name.to_string_lossy()) {
                command.env_remove(&name);
            }
        }
        command
            .args(args)
            .env("FOREBAY_LISTEN", "127.0.0.1:0")
            .env("FOREBAY_LOG", LOG_FILTER)
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
            if line.contains("worker started") {
                return Some(String::new());
            }
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

    /// What the process has used so far.
    pub(crate) fn usage(&self) -> anyhow::Result<Usage> {
        Usage::of_process(self.child.id().context("the process has ended")?)
    }

    /// Kills the process with SIGKILL and waits until it has ended.
    pub(crate) async fn kill(mut self) -> anyhow::Result<()> {
        self.child
            .kill()
            .await
            .context("killing a process of the measurement")
    }
}

/// Whether an environment variable of this name could change what `forebay` does.
fn affects_forebay(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    ["FOREBAY_", "OPENAI_", "GEMINI_", "OTEL_"]
        .iter()
        .any(|prefix| upper.starts_with(prefix))
        || upper.ends_with("_PROXY")
        || ["AMQP_URL", "REDIS_URL"].contains(&upper.as_str())
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
