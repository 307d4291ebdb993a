//! The accounts of the providers are lost while jobs wait, and the provider still refuses calls: no spike of calls follows.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use e2e::fleet::{TIMEOUT, poll_until};
use scripted_provider::{ProviderError, ScriptedLlm};
use serde_json::json;

use crate::{
    api_view::wait_until_jobs_wait,
    installation::{Engine, Installation},
    jobs, test_lock,
};

const JOBS: usize = 100;
/// The time after the first call in which the calls are counted.
const COUNTED: Duration = Duration::from_secs(1);
/// The most calls in that time. The starting rate allows no more, even without any refusal.
const CALLS_MAX: usize = 30;

for_both_engines!(waiting_jobs_cause_no_spike_after_the_accounts_are_lost);

async fn waiting_jobs_cause_no_spike_after_the_accounts_are_lost(engine: Engine) {
    let _guard = test_lock::exclusive().await;
    let llm = ScriptedLlm::start().await;
    let refuses = Arc::new(AtomicBool::new(true));
    let rule_refuses = Arc::clone(&refuses);
    llm.add_rule(move |_| {
        let error = ProviderError::new(429, "Rate limit reached for requests.");
        rule_refuses.load(Ordering::Relaxed).then(|| error.into())
    });
    let mut installation = Installation::start(engine, &llm, &[]).await;
    let ids = jobs::submit(&installation.client, "job", JOBS, &json!({})).await;
    wait_until_jobs_wait(&installation.client, &ids, TIMEOUT).await;
    let lost_at = Instant::now();
    installation.lose_accounts().await;
    let is_called = async || llm.calls().after(lost_at).count() > 0;
    assert!(poll_until(TIMEOUT, is_called).await, "{}", llm.listing());
    tokio::time::sleep(COUNTED).await;
    let calls = llm.calls().after(lost_at).within(COUNTED).count();
    println!("{calls} calls in the first second after the loss");
    assert!(calls <= CALLS_MAX, "{calls} calls in {COUNTED:?}");
    refuses.store(false, Ordering::Relaxed);
    let ended = jobs::wait_for_all(&installation.client, &ids, TIMEOUT).await;
    jobs::assert_all_completed(&ended);
    jobs::assert_each_answered_once(&llm, "job", JOBS);
}
