//! The scripted provider of these tests. It can hold back replies, so that jobs are unfinished when a fault
//! happens. It also counts replies.

use std::time::{Duration, Instant};

use e2e::fleet::LIMIT;
use scripted_provider::{Gate, Recorded, ScriptedLlm};

/// A provider with a latency of 0 to 50 ms.
pub(crate) async fn start(seed: u64) -> ScriptedLlm {
    ScriptedLlm::builder()
        .latency_ms(0..=50)
        .seed(seed)
        .start()
        .await
}

/// Holds back all replies from now on, and waits until `calls` calls are held. At least `calls` jobs stay
/// unfinished until the gate opens.
pub(crate) async fn hold_calls(llm: &ScriptedLlm, calls: usize) -> Gate {
    hold_calls_where(llm, calls, "any", |_| true).await
}

/// Like [`hold_calls`], but waits for held calls with this API key.
pub(crate) async fn hold_calls_with_key(llm: &ScriptedLlm, key: &str, calls: usize) -> Gate {
    hold_calls_where(llm, calls, key, |record| record.request.key() == Some(key)).await
}

async fn hold_calls_where(
    llm: &ScriptedLlm,
    calls: usize,
    key: &str,
    counts: impl Fn(&Recorded) -> bool,
) -> Gate {
    let gate = llm.gate_all_requests();
    let since = Instant::now();
    let is_held = |record: &&Recorded| {
        record.is_in_flight() && record.request.arrived_at >= since && counts(record)
    };
    let what = format!("{calls} held calls with key {key}");
    // From the newest record: calls from before the gate do not count.
    let enough =
        |records: &[Recorded]| records.iter().rev().filter(is_held).take(calls).count() >= calls;
    llm.wait_for_within(LIMIT, &what, enough).await;
    gate
}

/// Waits until the provider has given `count` more replies than now; returns how long that took.
pub(crate) async fn wait_for_replies(llm: &ScriptedLlm, count: usize, limit: Duration) -> Duration {
    wait_for_replies_where(llm, count, limit, |_| true).await
}

/// Like [`wait_for_replies`], but counts only replies to calls with another API key.
pub(crate) async fn wait_for_replies_to_other_keys(
    llm: &ScriptedLlm,
    key: &str,
    count: usize,
    limit: Duration,
) -> Duration {
    wait_for_replies_where(llm, count, limit, |record| {
        record.request.key() != Some(key)
    })
    .await
}

async fn wait_for_replies_where(
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

/// The number of calls that the worker closed before the reply.
pub(crate) fn cancelled_calls(records: &[Recorded]) -> usize {
    records.iter().filter(|record| record.hung_up()).count()
}
