//! Tests of child processes. Most run a shell script instead of `forebay`.

use std::time::Duration;

use super::{Builder, Forebay, run_to_exit};

const TIMEOUT: Duration = Duration::from_secs(60);
/// A shell command that prints the line with which `forebay` reports its URL.
const READY: &str = "echo 'INFO listening on http://127.0.0.1:4711' >&2;";

/// A process that runs [`READY`] and then this shell script.
fn shell(script: &str) -> Builder {
    Forebay::builder()
        .program("/bin/sh")
        .arg("-c")
        .arg(format!("{READY} {script}"))
}

#[tokio::test]
async fn a_process_is_ready_when_it_prints_its_url_and_kill9_ends_it() {
    let mut forebay = shell("exec sleep 600").start().await;
    assert_eq!(forebay.url(), "http://127.0.0.1:4711");
    assert!(forebay.is_running());
    forebay.kill9().await;
    assert!(!forebay.is_running());
    forebay.kill9().await;
}

#[tokio::test]
async fn the_child_gets_the_environment_of_the_builder() {
    let mut forebay = shell("env").env("FOREBAY_MODEL", "m").start().await;
    assert!(forebay.wait_exit(TIMEOUT).await.success());
    let log = forebay.logs();
    assert!(
        log.contains("\nFOREBAY_LISTEN=127.0.0.1:0\n"),
        "the process has another FOREBAY_LISTEN: {log}"
    );
    assert!(
        log.contains("\nFOREBAY_MODEL=m\n"),
        "the process has another FOREBAY_MODEL: {log}"
    );
    let folder = log
        .lines()
        .find_map(|line| line.strip_prefix("FOREBAY_DATA_DIR="));
    let folder = std::path::PathBuf::from(folder.expect("the process has a data folder"));
    assert!(folder.is_dir());
    drop(forebay);
    assert!(
        !folder.exists(),
        "the folder still exists after its process"
    );
}

#[tokio::test]
async fn a_data_folder_that_the_test_sets_is_kept_after_the_process() {
    let folder = tempfile::tempdir().expect("a temporary folder is made");
    let builder = shell("echo kept > $FOREBAY_DATA_DIR/file").data_dir(folder.path());
    let mut forebay = builder.start().await;
    forebay.wait_exit(TIMEOUT).await;
    drop(forebay);
    assert!(folder.path().join("file").exists());
}

#[tokio::test]
async fn a_process_can_handle_sigterm_and_choose_its_exit_code() {
    let script = "trap 'echo draining; exit 7' TERM; echo trapped; while :; do sleep 0.01; done";
    let mut forebay = shell(script).start().await;
    forebay.wait_for_log("trapped", TIMEOUT).await;
    forebay.sigterm();
    assert_eq!(forebay.wait_exit(TIMEOUT).await.code(), Some(7));
    assert!(
        forebay.logs().contains("draining"),
        "the last output is missing"
    );
}

#[tokio::test]
async fn sigstop_pauses_the_process_and_sigcont_continues_it() {
    let mut forebay = shell("exec sleep 600").start().await;
    forebay.sigstop().await;
    wait_for_state(forebay.pid(), |state| state == 'T').await;
    forebay.sigcont();
    wait_for_state(forebay.pid(), |state| state != 'T').await;
    forebay.kill9().await;
}

/// Polls `/proc` until the process has the wanted state.
async fn wait_for_state(pid: u32, wanted: fn(char) -> bool) {
    let reached = async {
        loop {
            let stat =
                std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process exists");
            let state = stat
                .rsplit(") ")
                .next()
                .and_then(|fields| fields.chars().next());
            if state.is_some_and(wanted) {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(TIMEOUT, reached)
        .await
        .expect("the process reaches the state in time");
}

#[tokio::test]
async fn dropping_the_handle_kills_the_process() {
    let forebay = shell("exec sleep 600").start().await;
    let pid = forebay.pid();
    drop(forebay);
    let gone = async {
        // A killed process stays a zombie until the runtime reaps it.
        while std::fs::read_to_string(format!("/proc/{pid}/stat"))
            .is_ok_and(|stat| !stat.contains(") Z "))
        {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(TIMEOUT, gone)
        .await
        .expect("the process ends in time");
}

#[tokio::test]
async fn the_error_of_a_failed_start_contains_the_log() {
    let builder = Forebay::builder().program("/bin/sh").arg("-c");
    let failed = builder
        .arg("echo FOREBAY_X is wrong >&2; exit 2")
        .try_start()
        .await;
    let error = failed.err().expect("the start fails").to_string();
    assert!(
        error.contains("exit status: 2"),
        "the error has no exit status: {error}"
    );
    assert!(
        error.contains("FOREBAY_X is wrong"),
        "the error does not contain the log: {error}"
    );
}

#[tokio::test]
async fn a_process_that_does_not_listen_is_ready_when_it_logs_the_text() {
    let builder = Forebay::builder().program("/bin/sh").arg("-c");
    let builder = builder.arg("echo worker is up; exec sleep 600");
    let forebay = builder.ready_when_it_logs("worker is up").start().await;
    assert!(forebay.logs().contains("worker is up"));
}

#[tokio::test]
async fn run_to_exit_returns_the_exit_code_and_both_outputs() {
    let builder = Forebay::builder().program("/bin/sh").arg("-c");
    let exited = builder
        .arg("echo out; echo err >&2; exit 2")
        .run_to_exit(TIMEOUT)
        .await;
    assert_eq!(exited.code, Some(2));
    assert_eq!(
        (exited.stdout.as_str(), exited.stderr.as_str()),
        ("out\n", "err\n")
    );
}

#[tokio::test]
#[should_panic(expected = "the process still ran after")]
async fn run_to_exit_panics_after_its_timeout() {
    let builder = Forebay::builder().program("/bin/sh").arg("-c");
    let timeout = Duration::from_millis(50);
    builder.arg("exec sleep 600").run_to_exit(timeout).await;
}

#[tokio::test]
async fn the_binary_is_built_and_runs() {
    let exited = run_to_exit(&["--help"], &[], TIMEOUT).await;
    assert_eq!(exited.code, Some(0), "{exited:?}");
}
