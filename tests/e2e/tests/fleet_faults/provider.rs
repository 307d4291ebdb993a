//! The scripted provider of these tests. Tests hold its replies back, so that some jobs are unfinished.

use std::time::{Duration, Instant};

use e2e::fleet::LIMIT;
use scripted_provider::{Gate, Recorded, ScriptedLlm};

/// A provider with latencies from 0 to 50 ms.
pub(crate) async fn start(seed: u64) -> ScriptedLlm {
    ScriptedLlm::builder()
        .latency_ms(0..=50)
        .seed(seed)
        .start()
        .await
}

/// Holds all later replies back and waits until `calls` calls are held. Until the gate is opened, their jobs are
/// unfinished.
pub(crate) async fn hold(llm: &ScriptedLlm, calls: usize) -> Gate {
    hold_until(llm, calls, "any", |_| true).await
}

/// As [`hold`], for calls of the worker with this key.
pub(crate) async fn hold_of(llm: &ScriptedLlm, key: &str, calls: usize) -> Gate {
    hold_until(llm, calls, key, |record| record.request.key() == Some(key)).await
}

async fn hold_until(
    llm: &ScriptedLlm,
    calls: usize,
    owner: &str,
    counts: impl Fn(&Recorded) -> bool,
) -> Gate {
    let gate = llm.hold();
    let since = Instant::now();
    let is_held = |record: &&Recorded| {
        record.is_in_flight() && record.request.arrived_at >= since && counts(record)
    };
    let what = format!("{calls} calls of {owner} to hold");
    // The newest come first, because calls from before the gate do not count.
    let enough =
        |records: &[Recorded]| records.iter().rev().filter(is_held).take(calls).count() >= calls;
    llm.wait_for_within(LIMIT, &what, enough).await;
    gate
}

/// Waits until `count` more replies are sent; returns how long it took.
pub(crate) async fn wait_for_replies(llm: &ScriptedLlm, count: usize, limit: Duration) -> Duration {
    answers_more_where(llm, count, limit, |_| true).await
}

/// As [`wait_for_replies`], for workers with other keys than this one.
pub(crate) async fn wait_for_replies_of_others(
    llm: &ScriptedLlm,
    key: &str,
    count: usize,
    limit: Duration,
) -> Duration {
    answers_more_where(llm, count, limit, |record| {
        record.request.key() != Some(key)
    })
    .await
}

async fn answers_more_where(
    llm: &ScriptedLlm,
    count: usize,
    limit: Duration,
    counts: impl Fn(&Recorded) -> bool,
) -> Duration {
    let began = Instant::now();
    let answered = |records: &[Recorded]| {
        let answered = records.iter().filter(|record| record.is_ok());
        answered.filter(|record| counts(record)).count()
    };
    let wanted = answered(&llm.recorded()) + count;
    let what = format!("{count} more replies");
    llm.wait_for_within(limit, &what, |records| answered(records) >= wanted)
        .await;
    began.elapsed()
}

/// The number of calls whose client hung up before the reply.
pub(crate) fn hung_up(records: &[Recorded]) -> usize {
    records.iter().filter(|record| record.hung_up()).count()
}
