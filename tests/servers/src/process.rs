//! One server process: its process group, its log, its signals, and its end.
//!
//! Signals go to the whole group, because RabbitMQ's start script and the Erlang VM are two processes. Only groups
//! that this module has started get signals.

use std::{
    fs::File,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, kill_process, kill_process_group, test_kill_process_group,
    waitid,
};

use crate::{guardian::Guardian, poll, stopped::is_stopped};

/// How long a killed group may take to end.
const KILL_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a group may take to stop after SIGSTOP.
const PAUSE_TIMEOUT: Duration = Duration::from_secs(60);
/// How many of the log's last lines an error message contains.
const LOG_LINES: usize = 30;

/// A server that the same command can start repeatedly.
pub(crate) struct ServerProcess {
    name: &'static str,
    folder: PathBuf,
    log: PathBuf,
    command: Box<dyn Fn() -> Command + Send + Sync>,
    running: Arc<Mutex<Option<Running>>>,
}

impl ServerProcess {
    /// A server that is not started yet. Its output is appended to `<folder>/<name>.log`.
    pub(crate) fn new(
        name: &'static str,
        folder: &Path,
        command: impl Fn() -> Command + Send + Sync + 'static,
    ) -> Self {
        Self {
            name,
            folder: folder.to_owned(),
            log: folder.join(format!("{name}.log")),
            command: Box::new(command),
            running: Arc::default(),
        }
    }

    /// Starts the server. It does not wait until the server is ready.
    ///
    /// # Errors
    /// If the server runs already, or cannot be started.
    pub(crate) fn spawn(&self) -> anyhow::Result<()> {
        let mut running = lock(&self.running);
        if running.is_some() {
            bail!("{} runs already", self.name);
        }
        let log = File::options()
            .create(true)
            .append(true)
            .open(&self.log)
            .with_context(|| format!("opening the log {}", self.log.display()))?;
        let mut command = (self.command)();
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone().context("opening the server's log")?)
            .stderr(log)
            .process_group(0);
        let leader = command
            .spawn()
            .with_context(|| format!("starting {command:?}"))?;
        *running = Some(Running::with_guardian(leader, &self.folder)?);
        Ok(())
    }

    /// The id of the server's process group, if the server runs.
    pub(crate) fn group_id(&self) -> Option<u32> {
        lock(&self.running)
            .as_ref()
            .map(|running| running.leader.id())
    }

    /// The exit status, if the server has ended by itself since it was started. In this case, the rest of its group is killed.
    pub(crate) fn exited(&self) -> Option<ExitStatus> {
        let mut running = lock(&self.running);
        if !running.as_ref()?.has_ended() {
            return None;
        }
        let mut ended = running.take()?;
        // Other processes of the group may still run.
        ended.kill();
        ended.leader.try_wait().ok().flatten()
    }

    /// Kills the server with SIGKILL and waits until its whole group has ended. Does nothing if no server runs.
    ///
    /// # Errors
    /// If the group still runs after a minute.
    pub(crate) async fn kill9(&self) -> anyhow::Result<()> {
        let Some(mut running) = lock(&self.running).take() else {
            return Ok(());
        };
        if tokio::task::spawn_blocking(move || running.kill()).await? {
            return Ok(());
        }
        bail!("{} still runs {KILL_TIMEOUT:?} after SIGKILL", self.name)
    }

    /// Sends SIGTERM, waits until the server ends, and kills the rest of its group. Does nothing if no server runs.
    ///
    /// # Errors
    /// If the server still runs after `timeout`. It is then killed.
    pub(crate) async fn stop(&self, timeout: Duration) -> anyhow::Result<()> {
        // A paused process handles SIGTERM only after SIGCONT.
        self.signal(Signal::CONT)?;
        self.signal_leader(Signal::TERM)?;
        let ended = poll::until(timeout, || async {
            lock(&self.running).as_ref().is_none_or(Running::has_ended)
        });
        let ended = ended.await;
        let log = self.log_tail();
        self.kill9().await?;
        if ended {
            return Ok(());
        }
        bail!(
            "{} still ran {timeout:?} after SIGTERM; its log ends:\n{log}",
            self.name
        )
    }

    /// Sends a signal to the whole group. Does nothing if no server runs.
    pub(crate) fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        match lock(&self.running).as_ref() {
            Some(running) => kill_process_group(running.group, signal)
                .with_context(|| format!("sending {signal:?} to {}", self.name)),
            None => Ok(()),
        }
    }

    /// Stops the whole group with SIGSTOP, and returns when all its threads are stopped. Does nothing if no server
    /// runs.
    ///
    /// # Errors
    /// If the signal cannot be sent, or a thread still runs after a minute.
    pub(crate) fn pause(&self) -> anyhow::Result<()> {
        self.signal(Signal::STOP)?;
        let Some(group) = lock(&self.running).as_ref().map(|running| running.group) else {
            return Ok(());
        };
        let group = group.as_raw_nonzero().get();
        if poll::until_blocking(PAUSE_TIMEOUT, || is_stopped(group)) {
            return Ok(());
        }
        bail!("{} still runs {PAUSE_TIMEOUT:?} after SIGSTOP", self.name)
    }

    /// Sends a signal to the first process of the group, whose process id is the group's id.
    fn signal_leader(&self, signal: Signal) -> anyhow::Result<()> {
        match lock(&self.running).as_ref() {
            Some(running) => kill_process(running.group, signal)
                .with_context(|| format!("sending {signal:?} to {}", self.name)),
            None => Ok(()),
        }
    }

    /// Waits until the server is ready.
    ///
    /// # Errors
    /// If the server ended, or is not ready within `timeout`. The error contains the last lines of its log.
    pub(crate) async fn until_ready<A: Future<Output = bool>>(
        &self,
        timeout: Duration,
        ready: impl Fn() -> A,
    ) -> anyhow::Result<()> {
        let started = Instant::now();
        loop {
            if let Some(status) = self.exited() {
                let log = self.log_tail();
                bail!(
                    "{} ended during its start ({status}); its log ends:\n{log}",
                    self.name
                );
            }
            if ready().await {
                return Ok(());
            }
            if started.elapsed() >= timeout {
                let log = self.log_tail();
                bail!(
                    "{} was not ready within {timeout:?}; its log ends:\n{log}",
                    self.name
                );
            }
            tokio::time::sleep(poll::INTERVAL).await;
        }
    }

    /// The last lines of the log.
    pub(crate) fn log_tail(&self) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        if let Some(mut running) = lock(&self.running).take() {
            running.kill();
        }
    }
}

/// A running process group, and the guardian that ends the group if this process ends first.
struct Running {
    leader: Child,
    group: Pid,
    guardian: Option<Guardian>,
}

impl Running {
    fn with_guardian(leader: Child, folder: &Path) -> anyhow::Result<Self> {
        let group = i32::try_from(leader.id()).ok().and_then(Pid::from_raw);
        let group = group.context("the server's process id is out of range")?;
        let mut running = Self {
            leader,
            group,
            guardian: None,
        };
        match Guardian::watch(group, folder) {
            Ok(guardian) => {
                running.guardian = Some(guardian);
                Ok(running)
            }
            Err(error) => {
                running.kill();
                Err(error).context("starting the server's guardian")
            }
        }
    }

    /// Whether the leader has ended. It is not reaped, so that no other group can get its number.
    fn has_ended(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        !matches!(waitid(WaitId::Pid(self.group), options), Ok(None))
    }

    /// Kills the group and reaps the leader. Returns whether the group has ended.
    fn kill(&mut self) -> bool {
        let _ = kill_process_group(self.group, Signal::KILL);
        // The guardian must end before the leader is reaped. Once the leader is reaped, another group can get this number,
        // and the guardian could kill that group.
        self.guardian = None;
        poll::until_blocking(KILL_TIMEOUT, || {
            !matches!(self.leader.try_wait(), Ok(None))
                && test_kill_process_group(self.group).is_err()
        })
    }
}

fn lock(running: &Mutex<Option<Running>>) -> MutexGuard<'_, Option<Running>> {
    running.lock().unwrap_or_else(PoisonError::into_inner)
}
