//! Jobs that always cause a server error (status 500) fail after their tries. They do not keep their provider closed for
//! other jobs.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use e2e::{client::id_of, fleet::TIMEOUT, slowdown};
use scripted_provider::{ChatRequest, ProviderError, ScriptedLlm};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::{
    installation::{Engine, Installation},
    jobs, test_lock,
};

/// The setting of [`TRIES_MAX`].
const TRIES: (&str, &str) = ("FOREBAY_TRIES_MAX", "5");
/// The most tries of a job.
const TRIES_MAX: usize = 5;
/// The longest pause after the first try.
const BACKOFF: (&str, &str) = ("FOREBAY_BACKOFF_MS", "200");
/// The time that a successful job may take on an idle machine while one job fails.
const GOOD_JOB_WITHIN: Duration = Duration::from_secs(3);
/// The time that a successful job may take while several jobs fail and close the provider's account: the longest pause between two
/// probes, and a margin.
const GOOD_JOB_AFTER_PAUSE_WITHIN: Duration = Duration::from_secs(35);
/// The time within which all failing jobs must have ended on an idle machine.
const FAILED_WITHIN: Duration = Duration::from_secs(60);

for_both_engines!(
    a_job_that_always_provokes_500_fails_and_the_others_complete,
    jobs_that_always_provoke_500_do_not_keep_the_provider_closed,
);

async fn a_job_that_always_provokes_500_fails_and_the_others_complete(engine: Engine) {
    fail_beside_good_jobs(engine, 1).await;
}

/// The account of the provider closes again and again, each time after three different jobs in a row have failed.
async fn jobs_that_always_provoke_500_do_not_keep_the_provider_closed(engine: Engine) {
    fail_beside_good_jobs(engine, 12).await;
}

/// Runs `failing` jobs that always get status 500. Meanwhile, jobs that succeed are submitted one after the other.
async fn fail_beside_good_jobs(engine: Engine, failing: usize) {
    let _guard = test_lock::shared().await;
    let llm = ScriptedLlm::start().await;
    llm.add_rule(|request: &ChatRequest| {
        let fails = request.last_user_text().starts_with("failing");
        fails.then(|| ProviderError::server_error().into())
    });
    let installation = Installation::start(engine, &llm, &[TRIES, BACKOFF]).await;
    let client = &installation.client;

    let good_job_within = if failing == 1 {
        GOOD_JOB_WITHIN
    } else {
        GOOD_JOB_AFTER_PAUSE_WITHIN
    };
    let began = slowdown::measure();
    let ids = jobs::submit(client, "failing", failing, &json!({})).await;
    let all_failed = CancellationToken::new();
    let good_jobs = Arc::new(AtomicUsize::new(0));
    let submit_good_jobs = async {
        while !all_failed.is_cancelled() {
            let number = good_jobs.fetch_add(1, Ordering::Relaxed);
            let submitted_at = slowdown::measure();
            let job = json!({ "input": jobs::input("good", number) });
            let id = id_of(&client.submit_until_ok(&job, TIMEOUT).await).to_owned();
            let job = client.wait(&id, TIMEOUT).await;
            assert_eq!(job["status"], "completed", "{job}");
            let took = submitted_at.elapsed();
            slowdown::assert_within(good_job_within, submitted_at, took, "a good job");
        }
    };
    let wait_for_failing_jobs = async {
        let ended = jobs::wait_for_all(client, &ids, TIMEOUT).await;
        all_failed.cancel();
        ended
    };
    let (ended, ()) = tokio::join!(wait_for_failing_jobs, submit_good_jobs);

    let good_jobs = good_jobs.load(Ordering::Relaxed);
    println!(
        "{:?} in {:?}, beside {good_jobs} good jobs",
        jobs::ends(&ended),
        began.elapsed()
    );
    let answers = llm.calls().answers_by_input();
    assert_eq!(answers.len(), failing + good_jobs);
    jobs::assert_each_answered_once(&llm, "good", good_jobs);
    for job in &ended {
        assert_eq!(job["status"], "failed", "{job}");
        assert_eq!(job["error"]["code"], "provider_error", "{job}");
    }
    for number in 0..failing {
        let input = jobs::input("failing", number);
        let calls = llm.recorded_with(&input).len();
        // A failure that closes the account, or finds it closed, spends no try. At most [`TRIES_MAX`] failures of a job spend
        // no try.
        let calls_max = if failing == 1 {
            TRIES_MAX
        } else {
            2 * TRIES_MAX
        };
        let has_all_tries = (TRIES_MAX..=calls_max).contains(&calls);
        assert!(
            has_all_tries,
            "the job {input:?} failed after {calls} calls"
        );
    }
    slowdown::assert_within(
        FAILED_WITHIN,
        began,
        began.elapsed(),
        "the end of all failing jobs",
    );
}
