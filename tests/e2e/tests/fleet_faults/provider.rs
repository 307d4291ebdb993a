//! The scripted provider of these tests, whose calls are held back so that jobs are unfinished for sure, and
//! its replies.

use std::time::{Duration, Instant};

use e2e::fleet::LIMIT;
use scripted_provider::{Gate, Recorded, ScriptedLlm};

/// A provider that takes 0 to 50 ms.
pub(crate) async fn start(seed: u64) -> ScriptedLlm {
    ScriptedLlm::builder()
        .latency_ms(0..=50)
        .seed(seed)
        .start()
        .await
}

/// Holds back all replies from now on, and waits until so many calls wait for theirs: until the gate is
/// opened, so many jobs are unfinished.
pub(crate) async fn hold(llm: &ScriptedLlm, calls: usize) -> Gate {
    hold_until(llm, calls, "any", |_| true).await
}

/// The same, but waits for calls of the worker that shows this key.
pub(crate) async fn hold_of(llm: &ScriptedLlm, key: &str, calls: usize) -> Gate {
    hold_until(llm, calls, key, |record| record.request.key() == Some(key)).await
}

async fn hold_until(
    llm: &ScriptedLlm,
    calls: usize,
    whose: &str,
    counts: impl Fn(&Recorded) -> bool,
) -> Gate {
    let gate = llm.hold();
    let since = Instant::now();
    let is_held = |record: &&Recorded| {
        record.is_in_flight() && record.request.arrived_at >= since && counts(record)
    };
    let what = format!("{calls} calls to hold of {whose}");
    // The newest first, since those of before the gate do not count.
    let enough =
        |records: &[Recorded]| records.iter().rev().filter(is_held).take(calls).count() >= calls;
    llm.wait_for_within(LIMIT, &what, enough).await;
    gate
}

/// Waits until this many more replies than now have been given; returns how long it took.
pub(crate) async fn answers_more(llm: &ScriptedLlm, count: usize, limit: Duration) -> Duration {
    answers_more_where(llm, count, limit, |_| true).await
}

/// The same, but of workers that show other keys than this.
pub(crate) async fn answers_others_more(
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
    let what = format!("{count} replies more");
    llm.wait_for_within(limit, &what, |records| answered(records) >= wanted)
        .await;
    began.elapsed()
}

/// Calls that were given up before they had their reply.
pub(crate) fn hung_up(records: &[Recorded]) -> usize {
    records.iter().filter(|record| record.hung_up()).count()
}
