//! The start of a `forebay` process: its arguments, and an environment without the settings of the machine.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use tempfile::TempDir;
use tokio::process::Command;

use super::{binary, cgroup::Cgroup, output, running::Forebay, spawned::Spawned};

/// How long a process may take until it is ready.
const READY_TIMEOUT: Duration = Duration::from_secs(120);

/// A process that is not started yet. It can be started several times. All these processes have the same settings, and
/// the same data folder if the test sets one.
#[derive(Clone, Debug)]
#[must_use = "nothing runs before `start`"]
pub struct Builder {
    program: Option<PathBuf>,
    args: Vec<String>,
    env: BTreeMap<String, String>,
    data_dir: Option<PathBuf>,
    memory_max_bytes: Option<u64>,
    ready: Ready,
}

/// The line that a process writes when it is ready.
#[derive(Clone, Debug)]
enum Ready {
    /// The line with its URL.
    Listening,
    /// A line with this text.
    Logs(String),
}

/// Whether an environment variable of the machine could change what a `forebay` process does.
fn affects_forebay(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    ["FOREBAY_", "OPENAI_", "GEMINI_", "OTEL_"]
        .iter()
        .any(|prefix| upper.starts_with(prefix))
        || upper.ends_with("_PROXY")
        || [
            "AMQP_URL",
            "AMQP_URL_FILE",
            "REDIS_URL",
            "REDIS_URL_FILE",
            "RUST_LOG",
        ]
        .contains(&upper.as_str())
}

impl Forebay {
    /// A process with default settings, a free port and a new data folder.
    pub fn builder() -> Builder {
        Builder::new()
    }
}

impl Builder {
    pub(super) fn new() -> Self {
        Self {
            program: None,
            args: Vec::new(),
            env: BTreeMap::new(),
            data_dir: None,
            memory_max_bytes: None,
            ready: Ready::Listening,
        }
    }

    /// Runs another program instead of `forebay`, for example `gateway`.
    pub fn program(mut self, path: impl Into<PathBuf>) -> Self {
        self.program = Some(path.into());
        self
    }

    /// Adds an argument.
    pub fn arg(mut self, arg: impl Into<String>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Sets an environment variable.
    pub fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.env.insert(name.to_owned(), value.into());
        self
    }

    /// Makes this server the OpenAI-compatible provider.
    pub fn openai(self, server: &scripted_provider::ScriptedLlm) -> Self {
        self.env("OPENAI_BASE_URL", server.openai_base_url())
            .env("OPENAI_API_KEY", "test-key-openai")
    }

    /// Makes this server the Gemini provider.
    pub fn gemini(self, server: &scripted_provider::ScriptedLlm) -> Self {
        self.env("GEMINI_BASE_URL", server.gemini_base_url())
            .env("GEMINI_API_KEY", "test-key-gemini")
    }

    /// Sets the data folder of the embedded engine. This folder is kept after the process. If none is set, the process
    /// gets a new folder, which is deleted when the handle of the process is dropped.
    pub fn data_dir(mut self, path: impl AsRef<Path>) -> Self {
        self.data_dir = Some(path.as_ref().to_owned());
        self
    }

    /// Limits the memory of the process with a control group. If the machine allows no control groups, the process gets 70 %
    /// of the limit as `FOREBAY_MEMORY_MAX`, as it would compute from the group. Then nothing enforces the limit, and the test has to
    /// check [`Forebay::memory_peak_bytes`].
    pub fn memory_max_bytes(mut self, bytes: u64) -> Self {
        self.memory_max_bytes = Some(bytes);
        self
    }

    /// Makes the process count as ready when a line of its output contains this text. For processes that do not listen.
    pub fn ready_when_it_logs(mut self, text: &str) -> Self {
        self.ready = Ready::Logs(text.to_owned());
        self
    }

    /// Starts the process and waits until it is ready.
    ///
    /// # Panics
    /// If the process cannot be built or started, ends, or is not ready after two minutes. The message contains its
    /// log.
    pub async fn start(&self) -> Forebay {
        match self.try_start().await {
            Ok(started) => started,
            Err(error) => panic!("{error:#}"),
        }
    }

    /// Starts the process and waits until it is ready.
    ///
    /// # Errors
    /// If the process cannot be built or started, ends, or is not ready after two minutes. The message contains its
    /// log.
    pub async fn try_start(&self) -> anyhow::Result<Forebay> {
        let mut forebay = Forebay::new(self.spawn().await?)?;
        let lines = forebay.lines();
        let ready = lines.find(|line| self.is_ready(line));
        let failure = tokio::select! {
            biased;
            () = ready => None,
            status = forebay.exited() => Some(format!("the process ended with {}", status?)),
            () = tokio::time::sleep(READY_TIMEOUT) => {
                Some(format!("the process was not ready after {READY_TIMEOUT:?}"))
            }
        };
        let Some(failure) = failure else {
            forebay.read_url_from_log();
            return Ok(forebay);
        };
        forebay.kill9().await;
        let log = forebay.logs();
        if log.lines().any(|line| self.is_ready(line).is_some()) {
            // The process was ready, and ended before this line was read.
            forebay.read_url_from_log();
            return Ok(forebay);
        }
        forebay.disable_print_on_panic();
        Err(anyhow::anyhow!(
            "forebay did not start: {failure}; its log:\n{log}"
        ))
    }

    fn is_ready(&self, line: &str) -> Option<()> {
        match &self.ready {
            Ready::Listening => output::listening_url(line).map(drop),
            Ready::Logs(text) => line.contains(text).then_some(()),
        }
    }

    /// Starts the process with pipes for its output.
    pub(super) async fn spawn(&self) -> anyhow::Result<Spawned> {
        let program = match &self.program {
            Some(program) => program.clone(),
            None => binary::path().await?,
        };
        let cgroup = self.memory_max_bytes.and_then(Cgroup::with_memory_max);
        let mut command = match &cgroup {
            // The process would inherit that SIGHUP is ignored, for example if `nohup` runs the tests.
            None if hangup_is_ignored() => {
                let mut env = Command::new("env");
                env.arg("--default-signal=HUP").arg(&program);
                env
            }
            None => Command::new(&program),
            // The shell enters the group and then becomes the program, so the program never runs without the limit.
            Some(cgroup) => {
                let mut shell = Command::new("/bin/sh");
                shell
                    .args(["-c", r#"echo $$ > "$0" && exec "$@""#])
                    .args([cgroup.processes_file(), program.clone()]);
                shell
            }
        };
        for (name, _) in std::env::vars_os() {
            if affects_forebay(&name.to_string_lossy()) {
                command.env_remove(&name);
            }
        }
        let own_dir = match &self.data_dir {
            Some(_) => None,
            None => Some(Arc::new(TempDir::with_prefix("forebay-e2e-")?)),
        };
        let data_dir = own_dir.as_ref().map(|dir| dir.path());
        if let Some(path) = self.data_dir.as_deref().or(data_dir) {
            command.env("FOREBAY_DATA_DIR", path);
        }
        if let (None, Some(bytes)) = (&cgroup, self.memory_max_bytes) {
            command.env("FOREBAY_MEMORY_MAX", (bytes * 7 / 10).to_string());
        }
        let child = command
            .args(&self.args)
            .env("FOREBAY_LISTEN", "127.0.0.1:0")
            .envs(&self.env)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting {}", program.display()))?;
        Ok(Spawned {
            child,
            own_dir,
            cgroup,
        })
    }
}

/// Whether this process ignores SIGHUP. Its children would ignore it too.
fn hangup_is_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & 1 != 0)
}

#[cfg(test)]
mod tests {
    use super::affects_forebay;

    #[test]
    fn variables_of_the_machine_that_affect_forebay_are_removed() {
        for name in [
            "FOREBAY_MODEL",
            "OPENAI_API_KEY",
            "GEMINI_BASE_URL",
            "AMQP_URL",
            "REDIS_URL",
            "RUST_LOG",
            "http_proxy",
        ] {
            assert!(affects_forebay(name), "{name} is not removed");
        }
        for name in ["PATH", "HOME", "RUST_BACKTRACE"] {
            assert!(!affects_forebay(name), "{name} is removed");
        }
    }
}
