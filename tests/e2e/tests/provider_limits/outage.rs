//! The provider is away for a while. Its jobs wait, spend no try, and complete when the provider is back.
//!
//! In most tests a job has a single try, so it fails if a refused call counts as a try.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use e2e::{
    fleet::{TIMEOUT, poll_until},
    slowdown,
};
use scripted_provider::{ProviderError, ScriptedLlm};
use serde_json::{Value, json};

use crate::{
    api_view::{account, wait_until_jobs_wait},
    installation::{Engine, Installation},
    jobs, test_lock,
};

const JOBS: usize = 40;
const ONE_TRY: (&str, &str) = ("FOREBAY_TRIES_MAX", "1");
/// The longest pause between two probes of a provider that is away, unless the provider asks for a longer one.
const PROBE_PAUSE_MAX: Duration = Duration::from_secs(30);
/// The time in which all jobs must complete after the successful probe.
const DONE_WITHIN: Duration = Duration::from_secs(5);
/// The outage of the compressed test: a tenth of 5 minutes.
const COMPRESSED_OUTAGE: Duration = Duration::from_secs(30);
/// The pause between two probes of the compressed test: a tenth of [`PROBE_PAUSE_MAX`].
const COMPRESSED_PAUSE_S: u64 = 3;
/// The time to the deadline of a job that expires while the provider is away.
const EXPIRES_IN_S: u64 = 6;

for_both_engines!(
    jobs_wait_while_the_provider_is_away_for_25_seconds,
    #[ignore = "long: runs in .ci/full"]
    jobs_wait_while_the_provider_is_away_for_5_minutes,
    jobs_wait_while_the_provider_is_unavailable_for_5_minutes_compressed_to_30_seconds,
    jobs_wait_through_a_rolling_restart_of_the_workers,
    jobs_that_wait_for_too_long_expire_with_the_providers_last_error,
);

async fn jobs_wait_while_the_provider_is_away_for_25_seconds(engine: Engine) {
    let _guard = test_lock::shared().await;
    complete_after_outage(engine, Duration::from_secs(25)).await;
}

async fn jobs_wait_while_the_provider_is_away_for_5_minutes(engine: Engine) {
    let _guard = test_lock::shared().await;
    complete_after_outage(engine, Duration::from_secs(300)).await;
}

/// Submits jobs while the provider refuses connections for this time. Asserts that they wait and then complete.
async fn complete_after_outage(engine: Engine, outage: Duration) {
    let llm = ScriptedLlm::start().await;
    let installation = Installation::start(engine, &llm, &[ONE_TRY]).await;
    llm.go_offline().await;
    let away_since = Instant::now();
    let ids = jobs::submit(&installation.client, "job", JOBS, &json!({})).await;
    wait_until_jobs_wait(&installation.client, &ids, TIMEOUT).await;
    assert_jobs_wait(&installation, &ids).await;
    tokio::time::sleep(outage.saturating_sub(away_since.elapsed())).await;
    llm.go_online().await;
    assert_all_complete_soon(&installation, &ids, PROBE_PAUSE_MAX).await;
    jobs::assert_each_answered_once(&llm, "job", JOBS);
    assert_eq!(llm.calls().count(), JOBS, "{}", llm.listing());
}

/// Asserts that the API shows why these jobs wait.
async fn assert_jobs_wait(installation: &Installation, ids: &[String]) {
    let mut openai = Value::Null;
    // A process that was restarted on the embedded engine has forgotten its accounts. The first refused call closes the
    // account again.
    let is_closed = async || {
        openai = account(&installation.client, "openai").await;
        let is_closed = openai["phase"] == "closed" || openai["phase"] == "probing";
        is_closed && openai["waiting"]["interactive"] == ids.len()
    };
    assert!(poll_until(TIMEOUT, is_closed).await, "{openai}");
    for id in ids {
        let mut job = Value::Null;
        // The job of a probe does not wait: it is queued until a worker claims it, and then it runs.
        let waits_or_runs = async || {
            let path = format!("/v1/jobs/{id}");
            job = installation.client.get_until_ok(&path, TIMEOUT).await;
            job["waiting_for"] == "openai" || job["status"] == "in_progress"
        };
        assert!(poll_until(TIMEOUT, waits_or_runs).await, "{job}");
    }
}

/// Asserts that all jobs complete after the provider is back. The next probe begins within `pause`.
async fn assert_all_complete_soon(installation: &Installation, ids: &[String], pause: Duration) {
    let back_since = slowdown::measure();
    let ended = jobs::wait_for_all(&installation.client, ids, TIMEOUT).await;
    let took = back_since.elapsed();
    println!(
        "{:?} in {took:?} after the provider was back",
        jobs::ends(&ended)
    );
    jobs::assert_all_completed(&ended);
    slowdown::assert_within(
        pause + DONE_WITHIN,
        back_since,
        took,
        "the completion of all jobs after the outage",
    );
    let mut openai = Value::Null;
    // The counts are up to a second old.
    let is_open = async || {
        openai = account(&installation.client, "openai").await;
        openai["phase"] == "open" && openai["waiting"]["interactive"] == 0
    };
    assert!(poll_until(TIMEOUT, is_open).await, "{openai}");
}

/// All times are a tenth of the times in an outage of 5 minutes. The provider is away for 30 s instead of 300 s. It asks for
/// pauses of 3 s, and the longest pause would be 30 s. So there are about as many probes as in 5 minutes.
async fn jobs_wait_while_the_provider_is_unavailable_for_5_minutes_compressed_to_30_seconds(
    engine: Engine,
) {
    let _guard = test_lock::shared().await;
    let llm = ScriptedLlm::start().await;
    let is_away = Arc::new(AtomicBool::new(true));
    let rule_is_away = Arc::clone(&is_away);
    llm.add_rule(move |_| {
        let error = ProviderError::new(503, "The server is down for maintenance.");
        let error = error.with_retry_after_s(COMPRESSED_PAUSE_S);
        rule_is_away.load(Ordering::Relaxed).then(|| error.into())
    });
    let installation = Installation::start(engine, &llm, &[ONE_TRY]).await;
    let ids = jobs::submit(&installation.client, "job", JOBS, &json!({})).await;
    wait_until_jobs_wait(&installation.client, &ids, TIMEOUT).await;
    // All jobs wait, so later calls are probes.
    let waiting_since = Instant::now();
    let first_refusal_at = llm.calls().first_answer_at(503);
    let first_refusal_at = first_refusal_at.expect("a call was refused");
    tokio::time::sleep(COMPRESSED_OUTAGE.saturating_sub(first_refusal_at.elapsed())).await;
    is_away.store(false, Ordering::Relaxed);
    let probed_for = waiting_since.elapsed();
    let pause = Duration::from_secs(COMPRESSED_PAUSE_S);
    assert_all_complete_soon(&installation, &ids, pause).await;
    jobs::assert_each_answered_once(&llm, "job", JOBS);
    let probes = llm.calls().after(waiting_since).answered_with(503);
    println!("{probes} probes in {probed_for:?}");
    // The first probe may begin at once.
    let probes_max = 1 + probed_for.as_secs() / COMPRESSED_PAUSE_S;
    assert!(
        (1..=probes_max as usize).contains(&probes),
        "there were {probes} probes in {probed_for:?}, although the provider asked for pauses of {pause:?}"
    );
}

async fn jobs_wait_through_a_rolling_restart_of_the_workers(engine: Engine) {
    let _guard = test_lock::shared().await;
    let llm = ScriptedLlm::start().await;
    let mut installation = Installation::start(engine, &llm, &[ONE_TRY]).await;
    llm.go_offline().await;
    let ids = jobs::submit(&installation.client, "job", JOBS, &json!({})).await;
    wait_until_jobs_wait(&installation.client, &ids, TIMEOUT).await;
    installation.restart_workers().await;
    wait_until_jobs_wait(&installation.client, &ids, TIMEOUT).await;
    assert_jobs_wait(&installation, &ids).await;
    llm.go_online().await;
    assert_all_complete_soon(&installation, &ids, PROBE_PAUSE_MAX).await;
    jobs::assert_each_answered_once(&llm, "job", JOBS);
    assert_eq!(llm.calls().count(), JOBS, "{}", llm.listing());
}

async fn jobs_that_wait_for_too_long_expire_with_the_providers_last_error(engine: Engine) {
    let _guard = test_lock::shared().await;
    let llm = ScriptedLlm::start().await;
    // Even if refused calls counted as tries, the deadline would come first.
    let installation = Installation::start(engine, &llm, &[("FOREBAY_TRIES_MAX", "100")]).await;
    let client = &installation.client;
    llm.go_offline().await;
    let long = jobs::submit(client, "long", 1, &json!({})).await;
    wait_until_jobs_wait(client, &long, TIMEOUT).await;
    let began = slowdown::measure();
    let extra = json!({ "expires_in_s": EXPIRES_IN_S });
    let short = jobs::submit(client, "short", JOBS, &extra).await;
    let ended = jobs::wait_for_all(client, &short, TIMEOUT).await;
    let limit = Duration::from_secs(EXPIRES_IN_S) + DONE_WITHIN;
    slowdown::assert_within(limit, began, began.elapsed(), "the end of the expired jobs");
    let openai = account(client, "openai").await;
    let last_error = openai["error"]["message"].as_str();
    let last_error = last_error.unwrap_or_else(|| panic!("there is no error in {openai}"));
    assert!(last_error.contains("refused"), "{openai}");
    for job in &ended {
        assert_eq!(job["status"], "expired", "{job}");
        assert_eq!(job["error"]["code"], "expired", "{job}");
        let message = job["error"]["message"].as_str().unwrap_or_default();
        assert!(
            message.ends_with(last_error),
            "the message does not end with {last_error:?}: {job}"
        );
        assert_eq!(job["output"], Value::Null, "{job}");
    }
    // The other job still waits, and completes.
    llm.go_online().await;
    assert_all_complete_soon(&installation, &long, PROBE_PAUSE_MAX).await;
    assert_eq!(llm.calls().count(), 1, "{}", llm.listing());
}
