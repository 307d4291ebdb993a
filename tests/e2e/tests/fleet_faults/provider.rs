//! The scripted provider of these tests. It can stop calls at a gate, so that jobs are unfinished when a fault happens.
//! This file also has the waits for the provider's replies.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use e2e::fleet::TIMEOUT;
use scripted_provider::{Gate, Recorded, ScriptedLlm};

/// A provider with a latency of 0 to 50 ms.
pub(crate) async fn start(seed: u64) -> ScriptedLlm {
    ScriptedLlm::builder()
        .latency_ms(0..=50)
        .seed(seed)
        .start()
        .await
}

/// Stops all calls at a gate from now on, and waits until `calls` calls are at the gate. At least `calls` jobs stay
/// unfinished until the gate opens.
pub(crate) async fn stop_calls(llm: &ScriptedLlm, calls: usize) -> Gate {
    stop_calls_where(llm, calls, "any", |_| true).await
}

/// Stops all calls like [`stop_calls`], but waits until `calls` calls with this API key are at the gate.
pub(crate) async fn stop_calls_and_wait_for_key(
    llm: &ScriptedLlm,
    key: &str,
    calls: usize,
) -> Gate {
    stop_calls_where(llm, calls, key, |record| record.request.key() == Some(key)).await
}

async fn stop_calls_where(
    llm: &ScriptedLlm,
    calls: usize,
    key: &str,
    is_counted: impl Fn(&Recorded) -> bool,
) -> Gate {
    // A call that arrives while the gate is being set may be stopped although it arrived before `since`.
    let stopped = Arc::new(Mutex::new(BTreeSet::new()));
    let stopped_at_gate = Arc::clone(&stopped);
    let gate = llm.gate_requests(move |request| {
        let mut stopped = stopped_at_gate.lock().expect("no panic under the lock");
        stopped.insert(request.number);
        true
    });
    let since = Instant::now();
    let is_stopped = |record: &Recorded| {
        let stopped = stopped.lock().expect("no panic under the lock");
        record.request.arrived_at >= since || stopped.contains(&record.request.number)
    };
    let is_at_gate =
        |record: &&Recorded| record.is_in_flight() && is_counted(record) && is_stopped(record);
    let description = format!("{calls} calls at the gate with the key: {key}");
    // The newest requests are examined first, because those from before the gate do not count.
    let enough =
        |records: &[Recorded]| records.iter().rev().filter(is_at_gate).take(calls).count() >= calls;
    llm.wait_for_within(TIMEOUT, &description, enough).await;
    gate
}

/// Waits until the provider has sent `count` more replies than now. Returns how long that took.
pub(crate) async fn wait_for_replies(
    llm: &ScriptedLlm,
    count: usize,
    timeout: Duration,
) -> Duration {
    wait_for_replies_where(llm, count, timeout, |_| true).await
}

/// Does the same as [`wait_for_replies`], but counts only replies to calls with other API keys.
pub(crate) async fn wait_for_replies_to_other_keys(
    llm: &ScriptedLlm,
    key: &str,
    count: usize,
    timeout: Duration,
) -> Duration {
    wait_for_replies_where(llm, count, timeout, |record| {
        record.request.key() != Some(key)
    })
    .await
}

async fn wait_for_replies_where(
    llm: &ScriptedLlm,
    count: usize,
    timeout: Duration,
    is_counted: impl Fn(&Recorded) -> bool,
) -> Duration {
    let began = Instant::now();
    let answered = |records: &[Recorded]| {
        let answered = records.iter().filter(|record| record.is_ok());
        answered.filter(|record| is_counted(record)).count()
    };
    let wanted = answered(&llm.recorded()) + count;
    let description = format!("{count} more replies");
    llm.wait_for_within(timeout, &description, |records| answered(records) >= wanted)
        .await;
    began.elapsed()
}

/// The number of calls that a worker closed before it had the reply.
pub(crate) fn cancelled_calls(records: &[Recorded]) -> usize {
    records
        .iter()
        .filter(|record| record.client_disconnected())
        .count()
}
