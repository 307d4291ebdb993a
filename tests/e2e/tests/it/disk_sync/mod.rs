//! What a client sees while the disk syncs, and when a sync fails. A small library between the process and the system holds the
//! syncs or lets them fail, so these tests run on Linux only.

use std::{fs, path::Path, process::Stdio, time::Duration};

use e2e::{
    client::{Client, id_of},
    process::{Builder, Forebay},
};
use rusqlite::{Connection, OpenFlags};
use scripted_provider::ScriptedLlm;
use serde_json::json;
use tempfile::TempDir;
use tokio::process::Command;

use crate::fixture::{GPT, TIMEOUT};

/// The pause between two checks whether a file exists.
const POLL_INTERVAL: Duration = Duration::from_millis(5);
/// The idempotency key of the submit.
const KEY: &str = "submit";
/// The number of reads while a sync is held.
const READS: usize = 20;

/// The library, and the folder with the files that control the syncs.
struct SyncControl {
    folder: TempDir,
}

impl SyncControl {
    /// Compiles the library.
    async fn build() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder is made");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/disk_sync/control.c");
        let output = Command::new("cc")
            .args(["-shared", "-fPIC", "-Wall", "-Werror", "-o"])
            .arg(folder.path().join("control.so"))
            .arg(source)
            .arg("-ldl")
            .stdin(Stdio::null())
            .output()
            .await
            .expect("cc runs: Rust links with it");
        assert!(output.status.success(), "{output:?}");
        Self { folder }
    }

    /// A process whose syncs the test controls.
    fn builder(&self, llm: &ScriptedLlm, data: &TempDir) -> Builder {
        let folder = self.folder.path();
        Forebay::builder()
            .openai(llm)
            .env("FOREBAY_MODEL", GPT)
            .env(
                "LD_PRELOAD",
                folder.join("control.so").display().to_string(),
            )
            .env("FOREBAY_TEST_SYNC_DIR", folder.display().to_string())
            .data_dir(data.path())
    }

    fn set(&self, name: &str) {
        fs::write(self.folder.path().join(name), "").expect("the file is written");
    }

    fn unset(&self, name: &str) {
        fs::remove_file(self.folder.path().join(name)).expect("the file is deleted");
    }

    /// Waits until a sync is held.
    async fn wait_for_held(&self) {
        while !self.folder.path().join("held").exists() {
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }
}

/// The number of jobs that a reader of the database sees.
fn count_jobs(data: &TempDir) -> i64 {
    let path = data.path().join("forebay.db");
    let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY);
    let db = db.expect("the database opens");
    db.query_row("SELECT count(*) FROM jobs", [], |row| row.get(0))
        .expect("the jobs are counted")
}

#[tokio::test]
async fn a_job_is_not_confirmed_or_shown_before_it_is_on_the_disk() {
    let (control, data) = (SyncControl::build().await, tempfile::tempdir().unwrap());
    let llm = ScriptedLlm::start().await;
    let forebay = control.builder(&llm, &data).start().await;
    let client = Client::new(forebay.url());

    control.set("hold");
    let job = json!({ "input": "hello", "session_id": "s" });
    let submit = tokio::spawn({
        let (client, job) = (Client::new(forebay.url()), job.clone());
        async move { client.submit_with_key(&job, KEY).await }
    });
    let held = tokio::time::timeout(TIMEOUT, control.wait_for_held());
    held.await.expect("a sync begins");
    for _ in 0..READS {
        client.queues().await.expect(200);
        assert_eq!(count_jobs(&data), 0, "the job is shown before the sync");
    }
    assert_eq!(llm.recorded().len(), 0, "a call began before the sync");
    if submit.is_finished() {
        // On a busy machine, the gateway may answer meanwhile that the store does not respond.
        submit.await.expect("the submit is answered").expect(503);
        control.unset("hold");
    } else {
        control.unset("hold");
        let answer = submit.await.expect("the submit is answered");
        assert!([202, 503].contains(&answer.status.as_u16()), "{answer:?}");
    }
    let job = client.submit_with_key(&job, KEY).await;
    let job = job.expect(202);
    assert_eq!(count_jobs(&data), 1);
    let job = client.wait(id_of(&job), TIMEOUT).await;
    assert_eq!(job["status"], "completed", "{job}");
}

#[tokio::test]
async fn after_a_failed_sync_nothing_is_confirmed_and_the_next_process_has_all_confirmed_jobs() {
    let (control, data) = (SyncControl::build().await, tempfile::tempdir().unwrap());
    let llm = ScriptedLlm::start().await;
    let gate = llm.gate_all_requests();
    let builder = control.builder(&llm, &data);
    let mut forebay = builder.start().await;
    let client = Client::new(forebay.url());
    let mut confirmed = Vec::new();
    for session in ["a", "b", "c"] {
        let job = json!({ "input": "hello", "session_id": session });
        confirmed.push(id_of(&client.submit_ok(&job).await).to_owned());
    }

    control.set("fail");
    // The process ends, so the connection may end before the answer.
    if let Ok(answer) = client.try_submit(&json!({ "input": "lost" }), None).await {
        answer.expect(503);
    }
    let status = forebay.wait_exit(TIMEOUT).await;
    assert!(!status.success(), "{status:?}");
    let logs = forebay.logs();
    let message = "nothing is written any more, and the process ends";
    assert!(logs.contains(message), "{logs}");

    control.unset("fail");
    let forebay = builder.start().await;
    let client = Client::new(forebay.url());
    gate.open();
    for id in confirmed {
        let job = client.wait(&id, TIMEOUT).await;
        assert_eq!(job["status"], "completed", "{job}");
    }
}
