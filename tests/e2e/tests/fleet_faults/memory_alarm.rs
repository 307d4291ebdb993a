//! A memory alarm of RabbitMQ, in which it takes no messages: jobs are accepted up to a bound, then
//! refused, and all goes on soon after its end.

use std::time::{Duration, Instant};

use e2e::{
    fleet::{Fleet, LIMIT, until},
    scripted::{Recorded, ScriptedLlm},
};
use serde_json::json;
use servers::rabbit::{ArmedAlarm, RaisedAlarm};

use crate::{
    load::Load,
    machine, provider,
    refusal::Refusal,
    returning::accepts_again,
    seed,
    traffic::{INTERACTIVE_ONLY, Pace, Traffic},
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
    let seed = seed::of_test();
    let llm = provider::start(seed).await;
    let fleet = Fleet::builder().openai(&llm).own_rabbit().start().await;
    // A load is accepted within some seconds of the alarm, long before the bound.
    let probes = Traffic::start(&fleet, "probe", INTERACTIVE_ONLY, Pace::PROBES, seed);
    let mut loads = Vec::new();

    for n in 1..=SHORT_ALARMS {
        let armed = fleet.rabbit.arm_memory_alarm().await.expect("an alarm");
        let load = Load::start(&fleet, &format!("alarm-{n}"), seed).await;
        let alarm = raise_under(&load, armed, &llm).await.0;
        load.is_accepted().await;
        probes.goes_on(Pace::PROBES.sessions).await;
        let took = end(alarm, &llm).await;
        println!("alarm {n}: the first reply came {took:?} after its end");
        provider::answers_more(&llm, 40, LIMIT).await;
        load.assert_untroubled();
        loads.push(load);
    }
    probes.assert_untroubled();

    let armed = fleet.rabbit.arm_memory_alarm().await.expect("an alarm");
    let load = Load::start(&fleet, "long-alarm", seed).await;
    let (alarm, raising, raised) = raise_under(&load, armed, &llm).await;
    for n in 0..fleet.gateways.len() {
        let refusal = until_refused(&fleet, n).await;
        refusal.assert_503(&["dispatch_unhealthy"]);
        let after = refusal.at.duration_since(raising);
        println!("gateway {n} refuses {after:?} after the alarm");
    }
    let refused = [load.refusals(), probes.refusals()].concat();
    for refusal in &refused {
        let after = refusal.at.duration_since(raising);
        assert!(after >= BOUND, "refused {after:?} after the alarm");
    }
    let all = raised.elapsed();
    assert!(all <= BOUND + LATE_BY, "accepted for {all:?}");
    let took = end(alarm, &llm).await;
    println!("the long alarm: the first reply came {took:?} after its end");
    for n in 0..fleet.gateways.len() {
        accepts_again(&fleet.client_of(n), GOES_ON_WITHIN).await;
    }
    probes.goes_on(Pace::PROBES.sessions).await;
    loads.push(load);

    for traffic in loads.iter().map(|load| &**load).chain([&probes]) {
        for refusal in traffic.refusals() {
            refusal.assert_503(&["dispatch_unhealthy"]);
        }
        assert_eq!(traffic.unanswered(), 0);
    }
    probes.end_in_order(&fleet).await;
    for load in loads {
        load.end_in_order(&fleet).await;
    }
}

/// Raises an alarm when a quarter of the load is accepted; returns also when it was asked for, and when it
/// stood.
async fn raise_under<'a>(
    load: &Load,
    alarm: ArmedAlarm<'a>,
    llm: &ScriptedLlm,
) -> (RaisedAlarm<'a>, Instant, Instant) {
    load.reaches(1, 4).await;
    let gate = provider::hold(llm, 30).await;
    let raising = Instant::now();
    let alarm = alarm.raise().await.expect("an alarm");
    let raised = Instant::now();
    load.assert_struck(llm, "an alarm was raised");
    gate.open();
    (alarm, raising, raised)
}

/// Ends the alarm; returns how long after that the first reply came. Nothing has come for a while before.
async fn end(alarm: RaisedAlarm<'_>, llm: &ScriptedLlm) -> Duration {
    let ended = |records: &[Recorded]| !records.iter().any(Recorded::is_in_flight);
    llm.wait_for_within(LIMIT, "the end of what was in flight", ended)
        .await;
    let before = llm.stats().answered;
    tokio::time::sleep(QUIET).await;
    assert_eq!(llm.stats().answered, before, "jobs go on under the alarm");
    let ending = Instant::now();
    alarm.end().await.expect("its end");
    let ended = ending.elapsed();
    let took = provider::first_answer_after(llm, ending, GOES_ON_WITHIN).await;
    // From the moment at which its end was asked for, which is a little before it.
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
