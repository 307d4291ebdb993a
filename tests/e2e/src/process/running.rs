//! A process that runs: where it listens, what it says, and every way to end it.

use std::{process::ExitStatus, sync::Arc, time::Duration};

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::{process::Child, task::JoinHandle};

use super::{
    output::{Lines, listening_on},
    start::Builder,
};

/// How long the rest of the output may take after the end of the process.
const LAST_WORDS_LIMIT: Duration = Duration::from_secs(2);

/// A `forebay` process. Dropping it kills it; when the test has panicked, its log is printed.
pub struct Forebay {
    child: Child,
    pid: u32,
    url: Option<String>,
    lines: Lines,
    readers: Vec<JoinHandle<()>>,
    print_on_panic: bool,
    /// Goes after the child, whose folder it is.
    _own_dir: Option<Arc<TempDir>>,
}

impl Forebay {
    /// A process with nothing set but a free port and a data folder of its own.
    pub fn builder() -> Builder {
        Builder::new()
    }

    pub(super) fn new(mut child: Child, own_dir: Option<Arc<TempDir>>) -> anyhow::Result<Self> {
        let lines = Lines::new();
        let pid = child.id().context("the process has ended already")?;
        let mut readers = Vec::new();
        readers.extend(child.stdout.take().map(|stream| lines.read(stream)));
        readers.extend(child.stderr.take().map(|stream| lines.read(stream)));
        Ok(Self {
            child,
            pid,
            url: None,
            lines,
            readers,
            print_on_panic: true,
            _own_dir: own_dir,
        })
    }

    pub(super) fn lines(&self) -> Lines {
        self.lines.clone()
    }

    /// Takes the address from what it has said so far.
    pub(super) fn learn_url(&mut self) {
        self.url = self.logs().lines().find_map(listening_on);
    }

    pub(super) fn forget_log_on_drop(&mut self) {
        self.print_on_panic = false;
    }

    /// Where it listens, as `http://127.0.0.1:4711`.
    ///
    /// # Panics
    /// When it does not listen.
    #[must_use]
    pub fn url(&self) -> &str {
        self.url.as_deref().expect("this process listens nowhere")
    }

    /// Its process id. After its end the number may be another process's.
    #[must_use]
    pub const fn pid(&self) -> u32 {
        self.pid
    }

    /// The newest 2,000 lines of its output.
    #[must_use]
    pub fn logs(&self) -> String {
        self.lines.text()
    }

    /// Waits until it has said something with this text.
    ///
    /// # Panics
    /// After `limit`, with its log.
    pub async fn wait_for_log(&self, text: &str, limit: Duration) {
        let said = self.lines.find(|line| line.contains(text).then_some(()));
        if tokio::time::timeout(limit, said).await.is_err() {
            panic!(
                "waited {limit:?} in vain for {text:?}; the log:\n{}",
                self.logs()
            );
        }
    }

    /// `kill -9`, and waits until it is gone. Nothing if it is gone already.
    ///
    /// # Panics
    /// When the system refuses.
    pub async fn kill9(&mut self) {
        // Fails only for a child that has been waited for.
        let _ = self.child.start_kill();
        self.exited().await.expect("the end of a child of ours");
        self.last_words().await;
    }

    /// Asks it to end in order (SIGTERM).
    ///
    /// # Panics
    /// When it is gone already.
    pub fn sigterm(&self) {
        self.signal(Signal::TERM);
    }

    /// Stops it where it stands (SIGSTOP).
    ///
    /// # Panics
    /// When it is gone already.
    pub fn sigstop(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on (SIGCONT).
    ///
    /// # Panics
    /// When it is gone already.
    pub fn sigcont(&self) {
        self.signal(Signal::CONT);
    }

    /// Waits until it has ended, by itself or as asked.
    ///
    /// # Panics
    /// After `limit`, with its log.
    pub async fn wait_exit(&mut self, limit: Duration) -> ExitStatus {
        match tokio::time::timeout(limit, self.exited()).await {
            Ok(status) => {
                self.last_words().await;
                status.expect("the end of a child of ours")
            }
            Err(_) => panic!(
                "forebay still ran after {limit:?}; its log:\n{}",
                self.logs()
            ),
        }
    }

    /// Whether it has not ended yet.
    ///
    /// # Panics
    /// When the system refuses.
    pub fn is_running(&mut self) -> bool {
        let ended = self.child.try_wait().expect("the state of a child of ours");
        ended.is_none()
    }

    pub(super) async fn exited(&mut self) -> std::io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Reads what it had written before it ended. Bounded, as a child of its own could hold the
    /// stream open.
    async fn last_words(&mut self) {
        for mut reader in self.readers.drain(..) {
            if tokio::time::timeout(LAST_WORDS_LIMIT, &mut reader)
                .await
                .is_err()
            {
                reader.abort();
            }
        }
    }

    /// Only while the child has not been waited for, so the id cannot be another process's.
    fn signal(&self, signal: Signal) {
        let pid = self
            .child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw)
            .unwrap_or_else(|| panic!("forebay has ended; its log:\n{}", self.logs()));
        kill_process(pid, signal).expect("a signal to a child of ours");
    }
}

impl Drop for Forebay {
    fn drop(&mut self) {
        // The child itself is killed by its own drop (`kill_on_drop`).
        if self.print_on_panic && std::thread::panicking() {
            eprintln!("the log of forebay (pid {}):\n{}", self.pid, self.logs());
        }
    }
}
