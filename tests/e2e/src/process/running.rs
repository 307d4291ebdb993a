//! A running process: its URL, its log, its signals and its end.

use std::{process::ExitStatus, sync::Arc, time::Duration};

use anyhow::Context;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use tempfile::TempDir;
use tokio::{process::Child, task::JoinHandle};

use super::{
    cgroup::Cgroup,
    output::{Lines, listening_url},
    spawned::Spawned,
};

/// How long reading the last output may take after the end of the process.
const LAST_OUTPUT_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a process may take to stop after SIGSTOP.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);
/// What a worker logs when its `/healthz` begins to fail.
const WEDGED: &str = "/healthz fails";
/// How often a test asks the kernel whether a process has stopped.
const STATE_POLL_INTERVAL: Duration = Duration::from_millis(1);

/// A `forebay` process. Dropping it kills the process, and prints its log if the test panics.
pub struct Forebay {
    child: Child,
    pid: u32,
    url: Option<String>,
    lines: Lines,
    readers: Vec<JoinHandle<()>>,
    print_on_panic: bool,
    may_be_wedged: bool,
    /// The data folder, if it is temporary. It is declared after `child`, so it is dropped after the child.
    _own_dir: Option<Arc<TempDir>>,
    /// The control group. As the data folder, it is removed after the child has ended.
    _cgroup: Option<Cgroup>,
}

impl Forebay {
    pub(super) fn new(spawned: Spawned) -> anyhow::Result<Self> {
        let Spawned {
            mut child,
            own_dir,
            cgroup,
        } = spawned;
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
            may_be_wedged: false,
            _own_dir: own_dir,
            _cgroup: cgroup,
        })
    }

    pub(super) fn lines(&self) -> Lines {
        self.lines.clone()
    }

    /// Reads the URL from the log so far.
    pub(super) fn read_url_from_log(&mut self) {
        self.url = self.logs().lines().find_map(listening_url);
    }

    /// Allows that `/healthz` of this worker fails during the test. Otherwise, such a failure fails the test.
    pub const fn allow_wedged(&mut self) {
        self.may_be_wedged = true;
    }

    pub(super) fn disable_print_on_panic(&mut self) {
        self.print_on_panic = false;
    }

    /// The URL at which the process listens, for example `http://127.0.0.1:4711`.
    ///
    /// # Panics
    /// If the process does not listen.
    #[must_use]
    pub fn url(&self) -> &str {
        self.url.as_deref().expect("this process does not listen")
    }

    /// The process id. After the end of the process, another process can get this id.
    #[must_use]
    pub const fn pid(&self) -> u32 {
        self.pid
    }

    /// The most memory that the process has used so far, in bytes: `VmHWM` of `/proc/PID/status`.
    ///
    /// # Panics
    /// If the process has ended.
    #[must_use]
    pub fn memory_peak_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid));
        let status = status.expect("the process runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
        let kib: u64 = kib
            .and_then(|kib| kib.trim().parse().ok())
            .expect("the kernel reports VmHWM in kB");
        kib * 1_024
    }

    /// The names of the threads of the process. The kernel cuts them to 15 bytes.
    ///
    /// # Panics
    /// If the process has ended.
    #[must_use]
    pub fn thread_names(&self) -> Vec<String> {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.pid));
        let tasks = tasks.expect("the process runs").filter_map(Result::ok);
        // A thread may end meanwhile.
        let names = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
        names.map(|name| name.trim().to_owned()).collect()
    }

    /// The newest 2,000 lines of the output.
    #[must_use]
    pub fn logs(&self) -> String {
        self.lines.text()
    }

    /// Waits until the log contains this text.
    ///
    /// # Panics
    /// After `timeout`. The message contains the log.
    pub async fn wait_for_log(&self, text: &str, timeout: Duration) {
        let logged = self.lines.find(|line| line.contains(text).then_some(()));
        if tokio::time::timeout(timeout, logged).await.is_err() {
            panic!(
                "timed out after {timeout:?} waiting for {text:?}; the log:\n{}",
                self.logs()
            );
        }
    }

    /// Waits until `count` lines with this text have been logged after this call. The count begins with the call,
    /// not with the first poll of the future.
    ///
    /// # Panics
    /// After `timeout`. The message contains the log.
    pub fn wait_for_new_logs(
        &self,
        text: &str,
        count: usize,
        timeout: Duration,
    ) -> impl Future<Output = ()> {
        let earlier_lines = self.lines.count();
        async move {
            let mut found = 0;
            let logged = self.lines.find_after(earlier_lines, |line| {
                found += usize::from(line.contains(text));
                (found >= count).then_some(())
            });
            if tokio::time::timeout(timeout, logged).await.is_err() {
                panic!(
                    "timed out after {timeout:?} waiting for {count} lines with {text:?}, and found {found}; the log:\n{}",
                    self.logs()
                );
            }
        }
    }

    /// Closes the reading end of the log's pipe, as if a log shipper had ended. The process cannot write its log any more.
    pub async fn close_log_reader(&mut self) {
        for reader in self.readers.drain(..) {
            reader.abort();
            // The stream is closed when the task has ended.
            let _ = reader.await;
        }
    }

    /// Reads the log again, as a restarted log shipper does.
    ///
    /// # Panics
    /// If the pipe cannot be opened again.
    pub fn reopen_log_reader(&mut self) {
        let pipe = format!("/proc/{}/fd/2", self.pid);
        let pipe = tokio::net::unix::pipe::OpenOptions::new().open_receiver(pipe);
        let pipe = pipe.expect("the pipe of the log is opened again");
        self.readers.push(self.lines.read(pipe));
    }

    /// Ends the process with SIGKILL and waits until it has ended. Does nothing if it has ended already.
    ///
    /// # Panics
    /// If the exit status cannot be read.
    pub async fn kill9(&mut self) {
        // An error means that the process has ended already.
        let _ = self.child.start_kill();
        self.exited().await.expect("the exit status can be read");
        self.read_last_output().await;
    }

    /// Sends SIGTERM, which asks for an orderly end.
    ///
    /// # Panics
    /// If the process has ended already.
    pub fn sigterm(&self) {
        self.signal(Signal::TERM);
    }

    /// Sends SIGHUP, as a terminal does when it closes.
    ///
    /// # Panics
    /// If the process has ended already.
    pub fn sighup(&self) {
        self.signal(Signal::HUP);
    }

    /// Pauses the process with SIGSTOP, and waits until all its threads have stopped. On a busy machine, some threads
    /// run on for a while after the signal.
    ///
    /// # Panics
    /// If the process has ended already, or does not stop.
    pub async fn sigstop(&self) {
        self.signal(Signal::STOP);
        let stopped = async {
            let options = WaitIdOptions::STOPPED | WaitIdOptions::NOHANG;
            while waitid(WaitId::Pid(self.live_pid()), options)
                .expect("the state of the process can be read")
                .is_none()
            {
                tokio::time::sleep(STATE_POLL_INTERVAL).await;
            }
        };
        let stopped = tokio::time::timeout(STOP_TIMEOUT, stopped).await;
        stopped.expect("the process stops in time");
    }

    /// Continues the process with SIGCONT.
    ///
    /// # Panics
    /// If the process has ended already.
    pub fn sigcont(&self) {
        self.signal(Signal::CONT);
    }

    /// Waits until the process has ended.
    ///
    /// # Panics
    /// After `timeout`. The message contains the log.
    pub async fn wait_exit(&mut self, timeout: Duration) -> ExitStatus {
        match tokio::time::timeout(timeout, self.exited()).await {
            Ok(status) => {
                self.read_last_output().await;
                status.expect("the exit status can be read")
            }
            Err(_) => panic!(
                "forebay still ran after {timeout:?}; its log:\n{}",
                self.logs()
            ),
        }
    }

    /// Whether the process still runs.
    ///
    /// # Panics
    /// If the state of the process cannot be read.
    pub fn is_running(&mut self) -> bool {
        let ended = self
            .child
            .try_wait()
            .expect("the state of the process can be read");
        ended.is_none()
    }

    pub(super) async fn exited(&mut self) -> std::io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Reads the last output after the end of the process. The time is limited, because a child of the process could
    /// keep the streams open.
    async fn read_last_output(&mut self) {
        for mut reader in self.readers.drain(..) {
            if tokio::time::timeout(LAST_OUTPUT_TIMEOUT, &mut reader)
                .await
                .is_err()
            {
                reader.abort();
            }
        }
    }

    fn signal(&self, signal: Signal) {
        kill_process(self.live_pid(), signal).expect("the signal is sent");
    }

    /// The process id. The child is not reaped yet, so the id cannot belong to another process.
    fn live_pid(&self) -> Pid {
        self.child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw)
            .unwrap_or_else(|| panic!("forebay has ended; its log:\n{}", self.logs()))
    }
}

impl Drop for Forebay {
    fn drop(&mut self) {
        // The drop of `child` kills the process (`kill_on_drop`).
        if self.print_on_panic && std::thread::panicking() {
            eprintln!("the log of forebay (pid {}):\n{}", self.pid, self.logs());
        }
        if self.may_be_wedged || std::thread::panicking() {
            return;
        }
        // Whatever fault a test causes, a worker that is not wedged must stay healthy.
        let logs = self.logs();
        assert!(
            !logs.contains(WEDGED),
            "the /healthz of forebay (pid {}) failed:\n{logs}",
            self.pid
        );
    }
}
