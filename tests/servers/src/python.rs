//! Starts a server that is written in Python: finds its Python environment, chooses a free port, and waits until the server
//! answers.
//!
//! `tests/run` creates the environments.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::ensure;
use tempfile::TempDir;

use crate::{port, process::ServerProcess};

/// How long a start may take. The imports of a large package take a long time on a busy machine.
const START_TIMEOUT: Duration = Duration::from_secs(240);
/// How many times a start is tried, each time with another port, if another process has taken the port.
const STARTS_MAX: u32 = 3;

/// A running server. Dropping it ends the server and deletes its folder.
pub(crate) struct PythonServer {
    // The first field is dropped first: the process ends before its folder is deleted.
    process: ServerProcess,
    _folder: TempDir,
    port: u16,
}

impl PythonServer {
    /// Starts a server and waits until it answers a GET of `health_path` with 200. `command` gets the interpreter of the
    /// environment, the server's folder and its port.
    ///
    /// # Errors
    /// If the environment is missing, or the server does not answer. The error then contains the end of the log.
    pub(crate) async fn start(
        name: &'static str,
        environment: &str,
        health_path: &str,
        command: impl Fn(&Path, &Path, u16) -> Command + Clone + Send + Sync + 'static,
    ) -> anyhow::Result<Self> {
        let python = interpreter(environment)?;
        let mut starts = 1;
        loop {
            let folder = tempfile::Builder::new()
                .prefix("forebay-python-")
                .tempdir()?;
            let port = port::free()?;
            let (python, path) = (python.clone(), folder.path().to_owned());
            let command = command.clone();
            let command = move || command(&python, &path, port);
            let server = Self {
                process: ServerProcess::new(name, folder.path(), command),
                _folder: folder,
                port,
            };
            server.process.spawn()?;
            let url = format!("http://127.0.0.1:{port}{health_path}");
            let ready = server.process.until_ready(START_TIMEOUT, || answers(&url));
            match ready.await {
                Ok(()) => return Ok(server),
                Err(_) if starts < STARTS_MAX && server.port_was_taken() => starts += 1,
                Err(error) => return Err(error),
            }
        }
    }

    fn port_was_taken(&self) -> bool {
        self.process
            .log_tail()
            .to_lowercase()
            .contains("address already in use")
    }

    /// The URL without a path.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

/// The interpreter of an environment in the workspace's target folder.
fn interpreter(environment: &str) -> anyhow::Result<PathBuf> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let python = root.join("target").join(environment).join("bin/python");
    ensure!(
        python.exists(),
        "the Python interpreter {} is missing: run `tests/run` once, which installs it",
        python.display()
    );
    Ok(python)
}

async fn answers(url: &str) -> bool {
    let response = reqwest::get(url).await;
    response.is_ok_and(|response| response.status() == 200)
}
