//! How a `forebay` process is started: its arguments, and an environment that holds nothing of the
//! machine's own settings.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::{binary, output, running::Forebay};

/// How long a process may take until it is ready.
const READY_LIMIT: Duration = Duration::from_secs(10);

/// A process that is not yet started. Cheap to clone; started twice, it is two processes with the
/// same settings (and the same data folder, if one was given).
#[derive(Clone, Debug)]
#[must_use = "nothing runs before `start`"]
pub struct Builder {
    program: Option<PathBuf>,
    args: Vec<String>,
    env: BTreeMap<String, String>,
    data_dir: Option<PathBuf>,
    ready: Ready,
}

/// The line by which a process says that it is ready.
#[derive(Clone, Debug)]
enum Ready {
    Listening,
    Says(String),
}

/// Whether a variable of the machine could change what a `forebay` process does.
fn is_foreign(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    ["FOREBAY_", "OPENAI_", "GEMINI_"]
        .iter()
        .any(|prefix| upper.starts_with(prefix))
        || upper.ends_with("_PROXY")
        || ["AMQP_URL", "REDIS_URL", "RUST_LOG"].contains(&upper.as_str())
}

impl Builder {
    pub(super) fn new() -> Self {
        Self {
            program: None,
            args: Vec::new(),
            env: BTreeMap::new(),
            data_dir: None,
            ready: Ready::Listening,
        }
    }

    /// Another program in place of `forebay`, such as a `gateway` built from it.
    pub fn program(mut self, path: impl Into<PathBuf>) -> Self {
        self.program = Some(path.into());
        self
    }

    /// Adds an argument.
    pub fn arg(mut self, arg: impl Into<String>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Sets a variable of its environment.
    pub fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.env.insert(name.to_owned(), value.into());
        self
    }

    /// Sets the OpenAI-compatible provider to this server.
    pub fn openai(self, server: &crate::scripted::ScriptedLlm) -> Self {
        self.env("OPENAI_BASE_URL", server.openai_base_url())
            .env("OPENAI_API_KEY", "test-key-openai")
    }

    /// Sets the Gemini provider to this server.
    pub fn gemini(self, server: &crate::scripted::ScriptedLlm) -> Self {
        self.env("GEMINI_BASE_URL", server.gemini_base_url())
            .env("GEMINI_API_KEY", "test-key-gemini")
    }

    /// The embedded engine's folder, which outlives the process. Without one it gets a folder of its
    /// own that goes with it.
    pub fn data_dir(mut self, path: impl AsRef<Path>) -> Self {
        self.data_dir = Some(path.as_ref().to_owned());
        self
    }

    /// Ready is when a line contains this, for a process that does not listen.
    pub fn ready_when_it_says(mut self, text: &str) -> Self {
        self.ready = Ready::Says(text.to_owned());
        self
    }

    /// Starts it and waits until it is ready.
    ///
    /// # Panics
    /// When it cannot be built or started, ends, or is not ready after 10 s; with its log.
    pub async fn start(&self) -> Forebay {
        match self.try_start().await {
            Ok(started) => started,
            Err(error) => panic!("{error:#}"),
        }
    }

    /// Starts it and waits until it is ready.
    ///
    /// # Errors
    /// It could not be built or started, ended, or was not ready after 10 s; with its log.
    pub async fn try_start(&self) -> anyhow::Result<Forebay> {
        let (child, own_dir) = self.spawn().await?;
        let mut forebay = Forebay::new(child, own_dir)?;
        let lines = forebay.lines();
        let ready = lines.find(|line| self.is_ready(line));
        let what = tokio::select! {
            biased;
            () = ready => None,
            status = forebay.exited() => Some(format!("it ended with {}", status?)),
            () = tokio::time::sleep(READY_LIMIT) => {
                Some(format!("it was not ready after {READY_LIMIT:?}"))
            }
        };
        let Some(what) = what else {
            forebay.learn_url();
            return Ok(forebay);
        };
        forebay.kill9().await;
        let log = forebay.logs();
        if log.lines().any(|line| self.is_ready(line).is_some()) {
            // It was ready, and ended before we had read that.
            forebay.learn_url();
            return Ok(forebay);
        }
        forebay.forget_log_on_drop();
        Err(anyhow::anyhow!(
            "forebay did not start: {what}; its log:\n{log}"
        ))
    }

    fn is_ready(&self, line: &str) -> Option<()> {
        match &self.ready {
            Ready::Listening => output::listening_on(line).map(drop),
            Ready::Says(text) => line.contains(text).then_some(()),
        }
    }

    /// Starts it with all its streams open to us.
    pub(super) async fn spawn(&self) -> anyhow::Result<(Child, Option<Arc<TempDir>>)> {
        let program = match &self.program {
            Some(program) => program.clone(),
            None => binary::path().await?,
        };
        let mut command = Command::new(&program);
        for (name, _) in std::env::vars_os() {
            if is_foreign(&name.to_string_lossy()) {
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
        Ok((child, own_dir))
    }
}

#[cfg(test)]
mod tests {
    use super::is_foreign;

    #[test]
    fn settings_of_the_machine_do_not_reach_the_child() {
        for name in [
            "FOREBAY_MODEL",
            "OPENAI_API_KEY",
            "GEMINI_BASE_URL",
            "AMQP_URL",
            "REDIS_URL",
            "RUST_LOG",
            "http_proxy",
        ] {
            assert!(is_foreign(name), "{name}");
        }
        for name in ["PATH", "HOME", "RUST_BACKTRACE"] {
            assert!(!is_foreign(name), "{name}");
        }
    }
}
