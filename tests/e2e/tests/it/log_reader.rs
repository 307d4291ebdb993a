//! Nobody reads the log: its reader has gone away, reads nothing, or never existed. The process goes on without its log.

use std::{
    fs,
    io::Write as _,
    path::PathBuf,
    process::Stdio,
    time::{Duration, Instant},
};

use e2e::{
    client::{Client, id_of},
    process::binary_path,
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tokio::process::{Child, Command};

use crate::fixture::{Fixture, TIMEOUT};

/// The pause between two polls.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

#[tokio::test]
async fn the_process_goes_on_when_the_reader_goes_away_and_reports_the_dropped_lines_when_a_reader_returns()
 {
    let mut fixture = Fixture::start().await;
    fixture.forebay.close_log_reader().await;
    for number in 0..3 {
        let id = fixture
            .submit_message(&format!("s{number}"), "turn=0")
            .await;
        fixture.completed_text(&id).await;
    }
    assert!(fixture.forebay.is_running());
    fixture.forebay.reopen_log_reader();
    // Each job writes a line. The report follows the first line that can be written again.
    let id = fixture.submit_message("s", "turn=0").await;
    fixture.completed_text(&id).await;
    fixture
        .forebay
        .wait_for_log("log lines were dropped", TIMEOUT)
        .await;
    let log = fixture.forebay.logs();
    let report = log.lines().find(|text| text.contains("were dropped"));
    let dropped = report.and_then(|text| text.split("dropped_lines=").nth(1));
    let dropped: u64 = dropped
        .and_then(|text| text.trim().parse().ok())
        .expect(&log);
    // One line for each of the three jobs. The line of the last job may come when the reader is back. The process may log more.
    assert!(dropped >= 2, "{log}");
    fixture.forebay.sigterm();
    assert_eq!(fixture.forebay.wait_exit(TIMEOUT).await.code(), Some(0));
}

#[tokio::test]
async fn a_process_without_a_usable_standard_error_starts_works_and_stops() {
    for redirections in ["2>/dev/full", "0<&- 1>&- 2>&-", "2>&-", "2</dev/null"] {
        let shell = format!(r#"exec "$0" {redirections}"#);
        let mut started = Started::with(Command::new("sh").arg("-c").arg(shell)).await;
        started.complete_a_job().await;
        if redirections.contains("1>&-") {
            // If a standard stream stayed closed, the database could get its number, and log lines would be written into the database.
            for number in 0..=2 {
                let target = fs::read_link(format!("/proc/{}/fd/{number}", started.pid()));
                let target = target.expect("the standard stream is open");
                assert_eq!(target, PathBuf::from("/dev/null"), "stream {number}");
            }
        }
        started.assert_stops(redirections).await;
    }
}

#[tokio::test]
async fn a_reader_that_reads_nothing_stops_no_job_and_no_exit() {
    for is_blocking in [true, false] {
        let (reader, mut writer) = std::io::pipe().expect("a pipe is made");
        rustix::io::ioctl_fionbio(&writer, true).expect("the pipe becomes non-blocking");
        while writer.write(&[b'x'; 1_000]).is_ok() {}
        rustix::io::ioctl_fionbio(&writer, !is_blocking).expect("the pipe is changed");
        let mut command = Command::new("sh");
        command.arg("-c").arg(r#"exec "$0""#);
        command.env("FOREBAY_LOG", "trace").stderr(writer);
        let mut started = Started::with(&mut command).await;
        for _ in 0..20 {
            started.complete_a_job().await;
        }
        started.assert_stops("a full pipe").await;
        drop(reader);
    }
}

#[tokio::test]
async fn help_and_check_end_normally_when_standard_output_is_closed_or_full() {
    let binary = binary_path().await.expect("forebay is built");
    let llm = scripted_provider::ScriptedLlm::start().await;
    for (args, code) in [("--help", 0), ("check gpt-test", 0), ("--no-such-flag", 2)] {
        for redirections in [">/dev/full 2>&1", ">&- 2>&-"] {
            let shell = format!(r#"exec "$0" {args} {redirections}"#);
            let status = Command::new("sh")
                .args(["-c", &shell])
                .arg(&binary)
                .env("OPENAI_BASE_URL", llm.openai_base_url())
                .env("OPENAI_API_KEY", "test-key-openai")
                .status();
            let status = status.await.expect("the shell starts");
            assert_eq!(status.code(), Some(code), "{args} {redirections}: {status}");
        }
    }
}

/// A process whose log the test does not read.
struct Started {
    child: Child,
    client: Client,
    _data: tempfile::TempDir,
}

impl Started {
    /// Starts `command`, a shell that replaces itself by its argument 0, and waits until the process listens.
    async fn with(command: &mut Command) -> Self {
        let data = tempfile::tempdir().expect("a temporary folder is made");
        let child = command
            .arg(binary_path().await.expect("forebay is built"))
            .env("FOREBAY_LISTEN", "127.0.0.1:0")
            .env("FOREBAY_DATA_DIR", data.path())
            .env("FOREBAY_SIMULATED_LATENCY_MS", "0")
            .env_remove("OPENAI_API_KEY")
            .env_remove("OPENAI_BASE_URL")
            .env_remove("FOREBAY_MODEL")
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("the shell starts");
        let pid = child.id().expect("the process runs");
        let began = Instant::now();
        let port = loop {
            if let Some(port) = listening_port(pid) {
                break port;
            }
            assert!(began.elapsed() < TIMEOUT, "the process does not listen");
            tokio::time::sleep(POLL_INTERVAL).await;
        };
        Self {
            child,
            client: Client::new(&format!("http://127.0.0.1:{port}")),
            _data: data,
        }
    }

    fn pid(&self) -> u32 {
        self.child.id().expect("the process runs")
    }

    async fn complete_a_job(&self) {
        let job = self.client.submit_ok(&json!({ "input": "hi" })).await;
        let job = self.client.wait(id_of(&job), TIMEOUT).await;
        assert_eq!(job["status"], "completed", "{job}");
    }

    async fn assert_stops(&mut self, description: &str) {
        let pid = Pid::from_raw(self.pid().cast_signed()).expect("the process id is positive");
        kill_process(pid, Signal::TERM).expect("the signal is sent");
        let status = tokio::time::timeout(TIMEOUT, self.child.wait()).await;
        let status = status.expect("the process ends in time");
        let status = status.expect("the exit status can be read");
        assert_eq!(status.code(), Some(0), "{description}: {status}");
    }
}

/// The port at which a process listens. `None` if it does not listen yet.
fn listening_port(pid: u32) -> Option<u16> {
    const LISTENING: &str = "0A";
    let sockets: Vec<PathBuf> = fs::read_dir(format!("/proc/{pid}/fd"))
        .ok()?
        .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
        .collect();
    let table = fs::read_to_string(format!("/proc/{pid}/net/tcp")).ok()?;
    table.lines().skip(1).find_map(|row| {
        let columns: Vec<&str> = row.split_whitespace().collect();
        let (address, state, inode) = (columns.get(1)?, columns.get(3)?, columns.get(9)?);
        let is_own = sockets.contains(&PathBuf::from(format!("socket:[{inode}]")));
        let (_, port) = address.split_once(':')?;
        (*state == LISTENING && is_own).then(|| u16::from_str_radix(port, 16).ok())?
    })
}
