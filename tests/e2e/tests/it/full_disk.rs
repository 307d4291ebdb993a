//! The disk of the data folder is full: new jobs are refused, accepted jobs end, and no reply is lost.
//!
//! The disk is a small tmpfs in a mount namespace of its own, so the tests need no root rights. They do nothing on a system
//! that allows no such namespace.

use std::{
    fs,
    io::Write as _,
    path::PathBuf,
    process::Stdio,
    time::{Duration, Instant},
};

use e2e::{
    client::{Client, id_of},
    process::{Builder, Forebay, binary_path},
};
use scripted_provider::{ScriptedLlm, ScriptedReply};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

use crate::fixture::{GPT, TIMEOUT};

/// The pause between two polls.
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// The number of concurrent calls.
const CONCURRENCY: usize = 8;
/// The log line when the disk becomes full, and when it has space again.
const FULL: &str = "the disk is full: new jobs are refused";
const FREE: &str = "the disk has space again";

/// A small disk. It exists as long as this value.
struct SmallDisk {
    /// The process that keeps the mount namespace.
    holder: Child,
    folder: tempfile::TempDir,
}

impl SmallDisk {
    /// Mounts a disk of this size. `None` if the system does not allow it.
    async fn mount(size: &str) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a temporary folder is made");
        let script = format!(
            "mount -t tmpfs -o size={size} forebay-test {} && echo mounted && exec sleep 86400",
            folder.path().display()
        );
        let mut holder = Command::new("unshare")
            .args(["--map-root-user", "--mount", "sh", "-c", &script])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .ok()?;
        let output = holder.stdout.take().expect("the output is a pipe");
        let mounted = BufReader::new(output).lines().next_line().await;
        if mounted.ok().flatten().as_deref() == Some("mounted") {
            return Some(Self { holder, folder });
        }
        eprintln!("this system allows no mount namespace; the test does nothing");
        None
    }

    /// A process whose data folder is on the disk.
    async fn builder(&self, llm: &ScriptedLlm) -> Builder {
        let binary = binary_path().await.expect("forebay is built");
        let mut builder = Forebay::builder().program("nsenter");
        for argument in [
            "--target",
            &self.pid().to_string(),
            "--user",
            "--mount",
            "--preserve-credentials",
            &binary.display().to_string(),
        ] {
            builder = builder.arg(argument);
        }
        builder
            .openai(llm)
            .env("FOREBAY_MODEL", GPT)
            .env("FOREBAY_CONCURRENCY", CONCURRENCY.to_string())
            .env("FOREBAY_TRIES_MAX", "1")
            .data_dir(self.folder.path().join("data"))
    }

    fn pid(&self) -> u32 {
        self.holder.id().expect("the holder runs")
    }

    /// The path of a file on the disk, as this process sees it.
    fn path(&self, name: &str) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.pid()));
        let folder = self
            .folder
            .path()
            .strip_prefix("/")
            .expect("the path is absolute");
        root.join(folder).join(name)
    }

    /// Fills the disk with a file of another program.
    fn fill(&self) {
        let mut file = fs::File::create(self.path("filler")).expect("the file is created");
        for block in [64 * 1024, 4_096, 1] {
            while file.write_all(&vec![b'x'; block]).is_ok() {}
        }
    }

    /// Deletes the file of [`SmallDisk::fill`].
    fn free(&self) {
        fs::remove_file(self.path("filler")).expect("the file is deleted");
    }
}

/// A process on a small disk, with its client.
struct OnDisk {
    forebay: Forebay,
    client: Client,
}

impl OnDisk {
    async fn start(builder: &Builder) -> Self {
        let forebay = builder.start().await;
        let client = Client::new(forebay.url());
        Self { forebay, client }
    }

    /// Submits a job in a session of its own.
    async fn submit(&self, text: &str) -> String {
        let input = format!("{text} {}", "x".repeat(5_000));
        let job = json!({ "input": input, "session_id": text });
        id_of(&self.client.submit_ok(&job).await).to_owned()
    }

    /// Waits until the answer has this status.
    async fn wait_for(&self, path: &str, status: u16) -> Value {
        let began = Instant::now();
        loop {
            let answer = self.client.get(path).await;
            if answer.status == status {
                return answer.body;
            }
            assert!(
                began.elapsed() < TIMEOUT,
                "{path} still answers {}; the log:\n{}",
                answer.body,
                self.forebay.logs()
            );
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Waits until each job has completed.
    async fn assert_completed(&self, jobs: &[String]) {
        for id in jobs {
            let job = self.client.wait(id, TIMEOUT).await;
            assert_eq!(job["status"], "completed", "{job}");
        }
    }

    async fn count(&self, ids: &[String], status: &str) -> usize {
        let mut count = 0;
        for id in ids {
            count += usize::from(self.client.job(id).await.expect(200)["status"] == status);
        }
        count
    }

    fn count_logs(&self, text: &str) -> usize {
        self.forebay.logs().matches(text).count()
    }
}

#[tokio::test]
async fn on_a_full_disk_accepted_jobs_end_and_new_jobs_are_refused_until_there_is_space() {
    let Some(disk) = SmallDisk::mount("16m").await else {
        return;
    };
    let llm = ScriptedLlm::start().await;
    let gate = llm.gate_all_requests();
    let process = OnDisk::start(&disk.builder(&llm).await).await;
    let mut jobs = Vec::new();
    for number in 0..64 {
        jobs.push(process.submit(&format!("s{number}")).await);
    }
    llm.wait_for_requests(CONCURRENCY).await;
    disk.fill();
    // The process notices the full disk without a submit, and serves reads all the time.
    let problem = process.wait_for("/readyz/submits", 503).await;
    assert_eq!(problem["code"], "store_full", "{problem}");
    process.client.get("/readyz").await.expect(200);
    let refused = process.client.submit(&json!({ "input": "more" })).await;
    assert_eq!(refused.expect(503)["code"], "store_full");
    process.client.session("s0").await.expect(200);

    gate.open();
    process.assert_completed(&jobs).await;
    assert_eq!(llm.recorded().len(), jobs.len(), "a call was repeated");
    process.client.get("/readyz").await.expect(200);
    let problem = process.client.get("/readyz/submits").await.expect(503);
    assert_eq!(problem["code"], "store_full", "{problem}");
    assert_eq!(process.count_logs(FULL), 1, "{}", process.forebay.logs());

    disk.free();
    process.wait_for("/readyz/submits", 200).await;
    let job = process.submit("again").await;
    process.assert_completed(&[job]).await;
    assert_eq!(process.count_logs(FULL), 1, "{}", process.forebay.logs());
    assert_eq!(process.count_logs(FREE), 1, "{}", process.forebay.logs());
}

#[tokio::test]
async fn a_process_that_stops_or_is_killed_on_a_full_disk_loses_no_reply_and_starts_again() {
    for is_killed in [false, true] {
        let Some(disk) = SmallDisk::mount("16m").await else {
            return;
        };
        let llm = ScriptedLlm::start().await;
        let gate = llm.gate_all_requests();
        let builder = disk.builder(&llm).await;
        let mut process = OnDisk::start(&builder).await;
        let mut jobs = Vec::new();
        for number in 0..30 {
            jobs.push(process.submit(&format!("s{number}")).await);
        }
        llm.wait_for_requests(CONCURRENCY).await;
        disk.fill();
        process.wait_for("/readyz/submits", 503).await;
        if is_killed {
            gate.open();
            process.assert_completed(&jobs).await;
            process.forebay.kill9().await;
        } else {
            process.forebay.sigterm();
            process
                .forebay
                .wait_for_log("the worker stops", TIMEOUT)
                .await;
            gate.open();
            let status = process.forebay.wait_exit(TIMEOUT).await;
            assert_eq!(status.code(), Some(0), "{status}");
            assert_eq!(llm.recorded().len(), CONCURRENCY);
        }
        // The disk is still full.
        let process = OnDisk::start(&builder).await;
        process.assert_completed(&jobs).await;
        assert_eq!(llm.recorded().len(), jobs.len(), "a call was repeated");
        disk.free();
        process.wait_for("/readyz/submits", 200).await;
    }
}

#[tokio::test]
async fn when_the_reserve_is_used_up_no_call_begins_whose_reply_could_not_be_stored() {
    let Some(disk) = SmallDisk::mount("32m").await else {
        return;
    };
    let llm = ScriptedLlm::start().await;
    llm.add_rule(|_| Some(ScriptedReply::text("y".repeat(100_000))));
    let gate = llm.gate_all_requests();
    let process = OnDisk::start(&disk.builder(&llm).await).await;
    let mut jobs = Vec::new();
    for number in 0..100 {
        jobs.push(process.submit(&format!("s{number}")).await);
    }
    llm.wait_for_requests(CONCURRENCY).await;
    disk.fill();
    process.wait_for("/readyz/submits", 503).await;
    gate.open();
    process
        .forebay
        .wait_for_log("half of the reserve", TIMEOUT)
        .await;
    // Every reply that the provider has sent must be stored.
    let began = Instant::now();
    loop {
        let completed = process.count(&jobs, "completed").await;
        let running = process.count(&jobs, "in_progress").await;
        if running == 0 && completed == llm.recorded().len() {
            assert!(completed < jobs.len(), "the reserve was large enough");
            println!("{completed} of {} jobs ended with the reserve", jobs.len());
            break;
        }
        assert!(began.elapsed() < TIMEOUT, "{running} jobs still run");
        tokio::time::sleep(POLL_INTERVAL).await;
    }
    process.client.get("/readyz").await.expect(200);
    disk.free();
    process.assert_completed(&jobs).await;
    assert_eq!(llm.recorded().len(), jobs.len(), "a call was repeated");
}
