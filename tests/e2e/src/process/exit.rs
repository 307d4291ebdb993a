//! Runs a process until it ends by itself, for example because of a wrong setting.

use std::time::Duration;

use tokio::{io::AsyncReadExt, process::Child};

use super::start::Builder;

/// The most bytes that are read from each stream.
const OUTPUT_BYTES_MAX: u64 = 1_024 * 1_024;

/// A process that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exited {
    /// The exit code; `None` if a signal ended the process.
    pub code: Option<i32>,
    /// The output on stdout.
    pub stdout: String,
    /// The output on stderr.
    pub stderr: String,
}

/// Runs `forebay` with these arguments and environment variables until it ends.
///
/// # Panics
/// If the process cannot be started, or still runs after `timeout`.
pub async fn run_to_exit(args: &[&str], env: &[(&str, &str)], timeout: Duration) -> Exited {
    let mut builder = Builder::new();
    for arg in args {
        builder = builder.arg(*arg);
    }
    for (name, value) in env {
        builder = builder.env(name, *value);
    }
    builder.run_to_exit(timeout).await
}

impl Builder {
    /// Runs the process until it ends by itself.
    ///
    /// # Panics
    /// If the process cannot be started, or still runs after `timeout`.
    pub async fn run_to_exit(&self, timeout: Duration) -> Exited {
        let mut spawned = match self.spawn().await {
            Ok(spawned) => spawned,
            Err(error) => panic!("{error:#}"),
        };
        let child = &mut spawned.child;
        let mut stdout = Vec::new();
        let mut stderr = Vec::new();
        let ended = tokio::time::timeout(timeout, read(child, &mut stdout, &mut stderr)).await;
        let stdout = String::from_utf8_lossy(&stdout).into_owned();
        let stderr = String::from_utf8_lossy(&stderr).into_owned();
        match ended {
            Ok(code) => Exited {
                code: code.expect("the exit status can be read"),
                stdout,
                stderr,
            },
            // Dropping the child kills it.
            Err(_) => panic!(
                "the process still ran after {timeout:?}; stdout:\n{stdout}\nstderr:\n{stderr}"
            ),
        }
    }
}

/// Reads the output into the caller's buffers, so that a panic at the timeout can show what was read.
async fn read(
    child: &mut Child,
    stdout: &mut Vec<u8>,
    stderr: &mut Vec<u8>,
) -> std::io::Result<Option<i32>> {
    let out = child
        .stdout
        .take()
        .map(|stream| stream.take(OUTPUT_BYTES_MAX));
    let err = child
        .stderr
        .take()
        .map(|stream| stream.take(OUTPUT_BYTES_MAX));
    let out = async {
        match out {
            Some(mut stream) => stream.read_to_end(stdout).await,
            None => Ok(0),
        }
    };
    let err = async {
        match err {
            Some(mut stream) => stream.read_to_end(stderr).await,
            None => Ok(0),
        }
    };
    let (_, _, status) = tokio::try_join!(out, err, child.wait())?;
    Ok(status.code())
}
