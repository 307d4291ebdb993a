//! A memory alarm of RabbitMQ, in which it takes no messages: jobs are accepted up to a bound, then
//! refused, and all goes on soon after its end.

use std::time::{Duration, Instant};

use e2e::{
    fleet::{Fleet, LIMIT, until},
    scripted::ScriptedLlm,
};
use serde_json::json;

use crate::{
    machine, provider,
    returning::accepts_again,
    traffic::{Pace, Refusal, Traffic},
};

/// Alarms that end before the bound.
const SHORT_ALARMS: usize = 2;
/// The bound on the time without a confirm, and what it may be missed by.
const BOUND: Duration = Duration::from_secs(30);
const LATE_BY: Duration = Duration::from_secs(15);
/// For so long nothing may be answered before the end of an alarm, or it was none.
const QUIET: Duration = Duration::from_secs(1);
/// From the end of the alarm to the first reply.
const GOES_ON_WITHIN: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_a_memory_alarm_jobs_are_accepted_up_to_a_bound_and_go_on_after_it() {
    let _place = machine::place().await;
    let llm = provider::start().await;
    let fleet = Fleet::builder().workers(3).openai(&llm).own_rabbit();
    let fleet = fleet.start().await;
    let pace = Pace {
        sessions: 20,
        pause: Duration::from_secs(3),
    };
    let traffic = Traffic::start(&fleet, pace);

    for alarm in 1..=SHORT_ALARMS {
        let gate = provider::hold(&llm, 5).await;
        fleet.rabbit.raise_memory_alarm().await.expect("an alarm");
        provider::assert_unfinished(&llm, "an alarm was raised");
        gate.open();
        traffic.goes_on(pace.sessions).await;
        let took = end_alarm(&fleet, &llm).await;
        println!("alarm {alarm}: the first reply came {took:?} after its end");
        provider::answers_more(&llm, pace.sessions, LIMIT).await;
    }
    let refused = traffic.refusals();
    assert!(refused.is_empty(), "refused: {refused:?}");

    let gate = provider::hold(&llm, 5).await;
    let raising = Instant::now();
    fleet.rabbit.raise_memory_alarm().await.expect("an alarm");
    let raised = Instant::now();
    provider::assert_unfinished(&llm, "the long alarm was raised");
    gate.open();
    for n in 0..fleet.gateways.len() {
        let refusal = until_refused(&fleet, n).await;
        refusal.assert_503(&["dispatch_unhealthy"]);
        let after = refusal.at.duration_since(raising);
        println!("gateway {n} refuses {after:?} after the alarm");
    }
    let refused = traffic.refusals();
    if let Some(first) = refused.first() {
        let after = first.at.duration_since(raising);
        assert!(after >= BOUND, "refused {after:?} after the alarm");
    }
    let all = raised.elapsed();
    assert!(all <= BOUND + LATE_BY, "accepted for {all:?}");
    let took = end_alarm(&fleet, &llm).await;
    println!("the long alarm: the first reply came {took:?} after its end");
    for n in 0..fleet.gateways.len() {
        accepts_again(&fleet.client_of(n), GOES_ON_WITHIN).await;
    }
    traffic.goes_on(pace.sessions).await;

    for refusal in traffic.refusals() {
        refusal.assert_503(&["dispatch_unhealthy"]);
    }
    assert_eq!(traffic.unanswered(), 0);
    traffic.end_in_order(&fleet).await;
}

/// Ends the alarm; returns how long after that the first reply came. Nothing has come for a while before.
async fn end_alarm(fleet: &Fleet, llm: &ScriptedLlm) -> Duration {
    let before = llm.stats().answered;
    tokio::time::sleep(QUIET).await;
    assert_eq!(llm.stats().answered, before, "jobs go on under the alarm");
    let ending = Instant::now();
    fleet.rabbit.clear_memory_alarm().await.expect("its end");
    let ended = ending.elapsed();
    let took = provider::first_answer_after(llm, ending, GOES_ON_WITHIN).await;
    // From the moment at which its end was asked for, which is a second or so before it.
    assert!(took <= GOES_ON_WITHIN, "{took:?}, ended within {ended:?}");
    took
}

/// Submits to a gateway until it refuses; returns how.
async fn until_refused(fleet: &Fleet, gateway: usize) -> Refusal {
    let client = fleet.client_of(gateway);
    let mut refusal = None;
    let refused = until(LIMIT, async || {
        let job = json!({ "session_id": format!("g-{gateway}"), "input": "hello" });
        let answer = client.submit(&job).await;
        // Its session may be full before.
        refusal = (answer.status == 503).then(|| Refusal::of(&answer));
        refusal.is_some()
    });
    assert!(refused.await, "gateway {gateway} refuses nothing");
    refusal.expect("a refusal")
}
