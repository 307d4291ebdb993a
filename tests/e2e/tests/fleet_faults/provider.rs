//! The scripted provider of these tests, and what it saw: who is unfinished, who was asked twice.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use e2e::{
    fleet::LIMIT,
    scripted::{Gate, Recorded, ScriptedLlm},
};

/// A provider that takes 0 to 50 ms. Its seed is `FOREBAY_TEST_SEED`, or a new one; printed.
pub(crate) async fn start() -> ScriptedLlm {
    let given = std::env::var("FOREBAY_TEST_SEED").ok();
    let seed = given.map_or_else(rand::random, |text| text.parse().expect("a number"));
    println!("FOREBAY_TEST_SEED={seed}");
    ScriptedLlm::builder()
        .latency_ms(0..=50)
        .seed(seed)
        .start()
        .await
}

/// Holds back all replies from now on, and waits until so many calls wait for theirs: until the gate is
/// opened, so many jobs are unfinished.
pub(crate) async fn hold(llm: &ScriptedLlm, calls: usize) -> Gate {
    let gate = llm.hold();
    let what = format!("{calls} calls in flight");
    let enough = |records: &[Recorded]| in_flight(records) >= calls;
    llm.wait_for_within(LIMIT, &what, enough).await;
    gate
}

/// Says how many jobs a fault has struck that has just happened.
///
/// # Panics
/// When there is none.
pub(crate) fn assert_unfinished(llm: &ScriptedLlm, fault: &str) {
    let unfinished = llm.stats().in_flight;
    println!("{fault}, with {unfinished} calls in flight");
    assert!(unfinished > 0, "{fault} struck when nothing was unfinished");
}

/// Waits until this many more replies than now have been given; returns how long it took.
pub(crate) async fn answers_more(llm: &ScriptedLlm, count: usize, limit: Duration) -> Duration {
    let began = Instant::now();
    let wanted = answered(&llm.recorded()) + count;
    let what = format!("{count} replies more");
    llm.wait_for_within(limit, &what, |records| answered(records) >= wanted)
        .await;
    began.elapsed()
}

/// Waits for the first reply that was given after `since`; returns how long after.
pub(crate) async fn first_answer_after(
    llm: &ScriptedLlm,
    since: Instant,
    limit: Duration,
) -> Duration {
    let first = |records: &[Recorded]| {
        let answered = records.iter().filter(|record| record.is_ok());
        let ends = answered.filter_map(|record| Some(record.ended.as_ref()?.1));
        ends.filter(|end| *end > since).min()
    };
    let what = "a reply";
    llm.wait_for_within(limit, what, |records| first(records).is_some())
        .await;
    let first = first(&llm.recorded());
    first.map_or(limit, |first| first.duration_since(since))
}

/// How many turns were asked for more than once.
pub(crate) fn asked_again(records: &[Recorded]) -> usize {
    calls_of_turns(records)
        .values()
        .filter(|count| **count > 1)
        .count()
}

/// Fails if any turn was asked for more than once.
pub(crate) fn assert_asked_once(llm: &ScriptedLlm) {
    let records = llm.recorded();
    let mut calls = calls_of_turns(&records);
    calls.retain(|_, count| *count > 1);
    assert!(calls.is_empty(), "asked for more than once: {calls:?}");
    assert_eq!(llm.refusals(), Vec::<String>::new());
}

fn calls_of_turns(records: &[Recorded]) -> BTreeMap<String, usize> {
    let mut calls = BTreeMap::new();
    for record in records {
        *calls.entry(record.request.last_user_text()).or_insert(0) += 1;
    }
    calls
}

fn in_flight(records: &[Recorded]) -> usize {
    records
        .iter()
        .filter(|record| record.is_in_flight())
        .count()
}

fn answered(records: &[Recorded]) -> usize {
    records.iter().filter(|record| record.is_ok()).count()
}
