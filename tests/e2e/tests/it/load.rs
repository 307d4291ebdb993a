//! 200 sessions submit 10 turns each, as fast as the API accepts them. All jobs complete in order, and each reply lists
//! all turns up to its own.

use std::time::{Duration, Instant};

use e2e::{
    client::Client,
    order::{SessionRun, assert_in_order},
};
use scripted_provider::ScriptedLlm;
use serde_json::json;
use tokio::{sync::Mutex, task::JoinSet};

use crate::fixture::Fixture;

pub(crate) const SESSIONS: usize = 200;
pub(crate) const TURNS: u64 = 10;
/// The timeout of the whole load. Only failing tests reach it.
pub(crate) const ALL_TIMEOUT: Duration = Duration::from_secs(240);

/// The lock of the tests that use the whole machine or measure times. They run one after the other.
pub(crate) static HEAVY_TEST_LOCK: Mutex<()> = Mutex::const_new(());

/// The name of the session with this number.
pub(crate) fn session_name(number: usize) -> String {
    format!("s-{number}")
}

/// The seed of a test: `FOREBAY_TEST_SEED`, or a new seed. The function prints it, so a failed test shows its seed.
pub(crate) fn seed() -> u64 {
    let variable = std::env::var("FOREBAY_TEST_SEED").ok();
    let seed = match variable {
        Some(text) => text.parse().expect("FOREBAY_TEST_SEED is a number"),
        None => rand::random(),
    };
    println!("FOREBAY_TEST_SEED={seed}");
    seed
}

/// A provider with latencies from 0 to 50 ms.
pub(crate) async fn provider(seed: u64) -> ScriptedLlm {
    ScriptedLlm::builder()
        .latency_ms(0..=50)
        .seed(seed)
        .start()
        .await
}

/// Submits the turns of all sessions concurrently. Returns each session's number with the ids of its jobs.
pub(crate) fn submit_all(client: &Client) -> JoinSet<(usize, Vec<String>)> {
    let mut sessions = JoinSet::new();
    for number in 0..SESSIONS {
        let client = client.clone();
        sessions.spawn(async move {
            let no_fields = json!({});
            let name = session_name(number);
            let ids = client.submit_turns(&name, TURNS, &no_fields, ALL_TIMEOUT);
            (number, ids.await)
        });
    }
    sessions
}

/// Waits until all jobs have ended, and reads the jobs and the sessions.
pub(crate) async fn fetch_all(client: &Client, ids: &[(usize, Vec<String>)]) -> Vec<SessionRun> {
    let mut runs = JoinSet::new();
    for (number, ids) in ids.iter().cloned() {
        let client = client.clone();
        runs.spawn(async move {
            SessionRun::fetch(&client, &session_name(number), &ids, ALL_TIMEOUT).await
        });
    }
    runs.join_all().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_job_completes_and_every_session_is_in_order() {
    let _alone = HEAVY_TEST_LOCK.lock().await;
    let fixture = Fixture::with_provider(provider(seed()).await, &[]).await;
    let began = Instant::now();
    let ids = submit_all(&fixture.client).join_all().await;
    let submitted = began.elapsed();
    let runs = fetch_all(&fixture.client, &ids).await;
    println!(
        "{} jobs were accepted in {submitted:?} and completed in {:?}",
        SESSIONS as u64 * TURNS,
        began.elapsed()
    );

    assert_eq!(runs.len(), SESSIONS);
    assert_in_order(&runs);
    fixture.assert_no_refusals();
    fixture.wait_for_live_jobs(0).await;
    // The process was not killed, so no call was made twice.
    assert_eq!(fixture.llm.stats().requests as u64, SESSIONS as u64 * TURNS);
    for run in &runs {
        let has_one_attempt =
            |job: &serde_json::Value| job["attempts"].as_array().map(Vec::len) == Some(1);
        assert!(
            run.jobs.iter().all(has_one_attempt),
            "a job of {} was repeated",
            run.session
        );
    }
}
