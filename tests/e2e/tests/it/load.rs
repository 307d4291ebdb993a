//! 200 sessions with 10 turns each, submitted as fast as the API accepts them: all jobs complete in order, each with a
//! reply made from all turns before it.

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
/// The limit of the whole load. Only failing tests reach it.
pub(crate) const ALL_LIMIT: Duration = Duration::from_secs(240);

/// A lock for tests that use the whole machine. They run one after the other.
pub(crate) static HEAVY: Mutex<()> = Mutex::const_new(());

pub(crate) fn session(n: usize) -> String {
    format!("s-{n}")
}

/// The seed of a test: `FOREBAY_TEST_SEED`, or a new one. It is printed, so that the output of a failed test shows it.
pub(crate) fn seed() -> u64 {
    let given = std::env::var("FOREBAY_TEST_SEED").ok();
    let seed = match given {
        Some(text) => text.parse().expect("FOREBAY_TEST_SEED must be a number"),
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

/// Submits all turns of all sessions at once; returns the ids by session.
pub(crate) fn submit_all(client: &Client) -> JoinSet<(usize, Vec<String>)> {
    let mut sessions = JoinSet::new();
    for n in 0..SESSIONS {
        let client = client.clone();
        sessions.spawn(async move {
            let nothing = json!({});
            let name = session(n);
            let ids = client.submit_turns(&name, TURNS, &nothing, ALL_LIMIT);
            (n, ids.await)
        });
    }
    sessions
}

/// Waits for all jobs of all sessions.
pub(crate) async fn fetch_all(client: &Client, ids: &[(usize, Vec<String>)]) -> Vec<SessionRun> {
    let mut runs = JoinSet::new();
    for (n, ids) in ids.iter().cloned() {
        let client = client.clone();
        runs.spawn(async move { SessionRun::fetch(&client, &session(n), &ids, ALL_LIMIT).await });
    }
    runs.join_all().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_job_completes_and_every_session_is_in_order() {
    let _alone = HEAVY.lock().await;
    let fixture = Fixture::with_provider(provider(seed()).await, &[]).await;
    let began = Instant::now();
    let ids = submit_all(&fixture.client).join_all().await;
    let submitted = began.elapsed();
    let runs = fetch_all(&fixture.client, &ids).await;
    println!(
        "{} jobs accepted in {submitted:?}, done in {:?}",
        SESSIONS as u64 * TURNS,
        began.elapsed()
    );

    assert_eq!(runs.len(), SESSIONS);
    assert_in_order(&runs);
    fixture.assert_no_refusals();
    fixture.live_jobs_become(0).await;
    // The process was not killed, so no call was made twice.
    assert_eq!(fixture.llm.stats().requests as u64, SESSIONS as u64 * TURNS);
    for run in &runs {
        let once = |job: &serde_json::Value| job["attempts"].as_array().map(Vec::len) == Some(1);
        assert!(run.jobs.iter().all(once), "{}", run.session);
    }
}
